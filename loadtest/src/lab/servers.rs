//! Private servers for a run: started from the binaries on this machine, and stopped with the run.
//!
//! A keeper process owns them and reads from a pipe. However this process ends (an error, Ctrl-C, a panic or SIGKILL), the pipe
//! closes. The keeper then stops the servers and removes their folder.
//!
//! This file is our end of the pipe, `keeper` the other one. `process` is what all servers have in common. `port` keeps two
//! servers from getting the same port.

pub mod keeper;
mod mariadb;
mod memcached;
pub mod nginx;
mod owner;
pub mod port;
mod postgres;
pub(in crate::lab) mod process;
pub(in crate::lab) mod programs;
mod provider;
mod rabbitmq;
mod redis;
mod redis_cluster;
mod server;
pub(in crate::lab) mod tree;
mod zookeeper;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use url::Url;

pub use server::Server;

/// How long RabbitMQ may take to write a new queue to disk: two seconds, and the machine may be busy.
const TO_BE_ON_DISK: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Servers that run as long as this value lives.
pub struct Services {
    /// The URLs of each server; several of a cluster.
    urls: HashMap<Server, Vec<Url>>,
    keeper: Child,
    answers: BufReader<ChildStdout>,
}

/// A command to the keeper: one line of JSON on its standard input.
#[derive(Serialize, Deserialize)]
enum Order {
    /// With the number of the node.
    Kill(Server, usize),
    StartAgain(Server, usize),
    EmptyRedis,
    CutRedis,
    RedisBytes,
    BlockRabbitMq(bool),
    HasOnDisk(String),
    /// Of a queue.
    Leader(String),
}

/// A reply of the keeper: one line of JSON on its standard output, one at its start and one for each command.
#[derive(Serialize, Deserialize)]
enum Answer {
    /// All servers answer; these are their URLs.
    Up(HashMap<Server, Vec<Url>>),
    /// The command was carried out.
    Done,
    /// A number of bytes.
    Bytes(u64),
    /// Yes or no.
    Is(bool),
    /// The number of the node where a queue has its leader, and on how many nodes the queue is.
    Leader { node: usize, members: usize },
    /// The command failed; the reason in one line.
    Failed(String),
}

impl Services {
    /// Starts these servers in parallel; `loadtest` is the program to run as their keeper. Blocks for some seconds: PostgreSQL
    /// takes one or two, ZooKeeper two, MariaDB three or four, RabbitMQ five to ten.
    ///
    /// # Errors
    /// A server is not installed or does not start.
    pub fn start(loadtest: &Path, servers: &[Server]) -> anyhow::Result<Services> {
        Services::start_with(loadtest, &[], servers)
    }

    /// Starts these servers as clusters: PostgreSQL with a synchronous standby, RabbitMQ as three nodes. The others are single
    /// servers. Blocks for 10 to 20 seconds.
    ///
    /// # Errors
    /// As for [`Services::start`].
    pub fn start_replicated(loadtest: &Path, servers: &[Server]) -> anyhow::Result<Services> {
        Services::start_with(loadtest, &["--replicated"], servers)
    }

    fn start_with(loadtest: &Path, options: &[&str], servers: &[Server]) -> anyhow::Result<Services> {
        let mut keeper = Command::new(loadtest)
            .arg("keeper")
            .args(options)
            .args(servers.iter().map(|server| server.word()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C must not reach the keeper: it stops when this process has ended.
            .spawn()
            .with_context(|| format!("cannot start {}", loadtest.display()))?;
        let answers = keeper.stdout.take().context("the keeper of the servers has no output")?;
        let mut services = Services { urls: HashMap::new(), keeper, answers: BufReader::new(answers) };
        if let Answer::Up(urls) = services.answer()? {
            services.urls = urls;
        }
        Ok(services)
    }

    /// The URL of a server with its password; `None` if it was not started. It listens on loopback only. The users of
    /// PostgreSQL and MariaDB have all privileges.
    pub fn url(&self, server: Server) -> Option<&Url> {
        self.nodes(server).first()
    }

    /// The URLs of all nodes of a server: PostgreSQL's primary and then its standby, RabbitMQ's three nodes. Empty if it was not
    /// started.
    pub fn nodes(&self, server: Server) -> &[Url] {
        self.urls.get(&server).map(Vec::as_slice).unwrap_or_default()
    }

    /// Kills a server and its children (SIGKILL) and returns when they are dead. Its data stays. Blocks.
    ///
    /// # Errors
    /// The server was not started, or it is already dead.
    pub fn kill(&mut self, server: Server) -> anyhow::Result<()> {
        self.kill_node(server, 0)
    }

    /// Kills one node of a server, as [`Services::kill`] does.
    ///
    /// # Errors
    /// There is no such node, or it is already dead.
    pub fn kill_node(&mut self, server: Server, node: usize) -> anyhow::Result<()> {
        self.order(&Order::Kill(server, node))
    }

    /// Restarts a killed server at the same address, with the same password and data. Returns when it answers. Blocks.
    ///
    /// # Errors
    /// The server was not started, still runs, or does not restart.
    pub fn start_again(&mut self, server: Server) -> anyhow::Result<()> {
        self.start_node_again(server, 0)
    }

    /// Restarts one killed node of a server, as [`Services::start_again`] does.
    ///
    /// # Errors
    /// There is no such node, it still runs, or it does not restart.
    pub fn start_node_again(&mut self, server: Server, node: usize) -> anyhow::Result<()> {
        self.order(&Order::StartAgain(server, node))
    }

    /// The number of the node of RabbitMQ where a quorum queue has its leader, and on how many nodes the queue is. Takes two
    /// seconds. Blocks.
    ///
    /// # Errors
    /// No node runs, or there is no such queue, or it has no leader.
    pub fn leader_of(&mut self, queue: &str) -> anyhow::Result<(usize, usize)> {
        let Answer::Leader { node, members } = self.ask(&Order::Leader(queue.into()))? else {
            bail!("the keeper of the servers was asked for a leader")
        };
        Ok((node, members))
    }

    /// Deletes the data of a killed Redis, as if its disk were lost. Only Redis allows this: chapter 6 can rebuild what it holds.
    ///
    /// # Errors
    /// Redis was not started, or it still runs.
    pub fn empty_redis(&mut self) -> anyhow::Result<()> {
        self.order(&Order::EmptyRedis)
    }

    /// Cuts off the last third of what a killed Redis has logged since its last log rewrite, as if that part had not reached the
    /// disk.
    ///
    /// # Errors
    /// Redis was not started, still runs, or has logged nothing.
    pub fn cut_redis(&mut self) -> anyhow::Result<()> {
        self.order(&Order::CutRedis)
    }

    /// The bytes of data that a killed Redis will load at its next start.
    ///
    /// # Errors
    /// Redis was not started, or it still runs.
    pub fn redis_bytes(&mut self) -> anyhow::Result<u64> {
        let Answer::Bytes(bytes) = self.ask(&Order::RedisBytes)? else {
            bail!("the keeper of the servers was asked for bytes")
        };
        Ok(bytes)
    }

    /// Waits until RabbitMQ has written a quorum queue to disk. It confirms a queue up to two seconds earlier. If it is killed in
    /// between, it loses the queue, or keeps one that never answers. Blocks.
    ///
    /// # Errors
    /// RabbitMQ was not started, or the queue is still not on disk after a minute.
    pub fn wait_for_queue(&mut self, queue: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        while !self.has_on_disk(queue)? {
            ensure!(began.elapsed() < TO_BE_ON_DISK, "RabbitMQ does not have the queue {queue} on disk");
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Whether RabbitMQ has written a quorum queue to disk.
    ///
    /// # Errors
    /// RabbitMQ was not started.
    pub fn has_on_disk(&mut self, queue: &str) -> anyhow::Result<bool> {
        let Answer::Is(on_disk) = self.ask(&Order::HasOnDisk(queue.into()))? else {
            bail!("the keeper of the servers was asked for a queue")
        };
        Ok(on_disk)
    }

    /// Makes a running RabbitMQ block publishers, as it does when its memory is full; `block` = false unblocks them. Blocks until
    /// it is done.
    ///
    /// # Errors
    /// RabbitMQ was not started, or it does not run.
    pub fn block_rabbitmq(&mut self, block: bool) -> anyhow::Result<()> {
        self.order(&Order::BlockRabbitMq(block))
    }

    fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        self.ask(order).map(drop)
    }

    fn ask(&mut self, order: &Order) -> anyhow::Result<Answer> {
        let stdin = self.keeper.stdin.as_mut().context("the keeper of the servers takes no commands")?;
        writeln!(stdin, "{}", serde_json::to_string(order)?).context("the keeper of the servers is gone")?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Failed(why)) => bail!(why),
            Ok(answer) => Ok(answer),
            Err(_) => bail!("the keeper of the servers ended without a reply"),
        }
    }
}

impl Drop for Services {
    /// Closes the pipe, then waits until the servers are stopped and their folder is removed.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Sends SIGTERM to this process when its standard input closes, which means that the parent has ended.
pub fn stop_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
    });
}
