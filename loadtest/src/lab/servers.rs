//! Private servers for a run: started from the binaries on this machine, gone when the run is gone.
//!
//! They belong to a keeper, a process of its own that holds the other end of a pipe. Whatever ends this process, an
//! error, Ctrl-C, a panic or a kill, closes the pipe, and the keeper stops the servers and removes their folder.
//!
//! This file is our end of the pipe, `keeper` the other one. `process` is what the servers have in common, and
//! `port` keeps two of them from being given the same port.

pub mod keeper;
pub mod nginx;
mod owner;
pub mod port;
mod postgres;
mod process;
mod programs;
mod provider;
mod rabbitmq;
mod redis;
mod server;
mod tree;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use url::Url;

pub use server::Server;

/// Servers that run as long as this value lives.
pub struct Services {
    urls: HashMap<Server, Url>,
    keeper: Child,
    answers: BufReader<ChildStdout>,
}

/// What the keeper is told: a line of JSON on its standard input.
#[derive(Serialize, Deserialize)]
enum Order {
    Kill(Server),
    StartAgain(Server),
    EmptyRedis,
    CutRedis,
    RedisBytes,
    BlockRabbitMq(bool),
    HasOnDisk(String),
}

/// What the keeper says, once when it starts and once for every order: a line of JSON on its standard output.
#[derive(Serialize, Deserialize)]
enum Answer {
    /// All servers answer.
    Up(HashMap<Server, Url>),
    /// As ordered.
    Done,
    /// So many bytes of data.
    Bytes(u64),
    /// Whether it is so.
    Is(bool),
    /// Not so; why, in a line.
    Failed(String),
}

impl Services {
    /// Starts these servers, side by side; `loadtest` is the program to run as their keeper. Blocks for some seconds:
    /// PostgreSQL takes one or two of them, RabbitMQ five to ten.
    ///
    /// # Errors
    /// A server is not installed or does not start.
    pub fn start(loadtest: &Path, servers: &[Server]) -> anyhow::Result<Services> {
        let mut keeper = Command::new(loadtest)
            .arg("keeper")
            .args(servers.iter().map(|server| server.word()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C is for us; the keeper goes when we are gone.
            .spawn()
            .with_context(|| format!("cannot start {}", loadtest.display()))?;
        let answers = keeper.stdout.take().context("the keeper of the servers has no output")?;
        let mut services = Services { urls: HashMap::new(), keeper, answers: BufReader::new(answers) };
        if let Answer::Up(urls) = services.answer()? {
            services.urls = urls;
        }
        Ok(services)
    }

    /// Where a server is, with the password; it listens on loopback only. None if it was not asked for. PostgreSQL's is
    /// a superuser's.
    pub fn url(&self, server: Server) -> Option<&Url> {
        self.urls.get(&server)
    }

    /// Ends a server and its children without a warning (SIGKILL); returns when they are dead. Its data stays. Blocks.
    ///
    /// # Errors
    /// It is not one of these, or it is dead already.
    pub fn kill(&mut self, server: Server) -> anyhow::Result<()> {
        self.order(&Order::Kill(server))
    }

    /// Starts a server that was killed, at the same address and with the same password and data; returns when it
    /// answers. Blocks, as the first start does.
    ///
    /// # Errors
    /// It is not one of these, it still runs, or it does not start.
    pub fn start_again(&mut self, server: Server) -> anyhow::Result<()> {
        self.order(&Order::StartAgain(server))
    }

    /// Removes the data of a Redis that was killed, as if its disk were lost. Chapter 6 can do without what Redis holds, and without
    /// the data of no other server.
    ///
    /// # Errors
    /// Redis is not one of these, or it still runs.
    pub fn empty_redis(&mut self) -> anyhow::Result<()> {
        self.order(&Order::EmptyRedis)
    }

    /// Cuts off the last third of what a Redis that was killed has written since its log was last rewritten, as if that had not
    /// reached the disk.
    ///
    /// # Errors
    /// Redis is not one of these, it still runs, or it has written nothing.
    pub fn cut_redis(&mut self) -> anyhow::Result<()> {
        self.order(&Order::CutRedis)
    }

    /// Bytes of data that a Redis that was killed will start with.
    ///
    /// # Errors
    /// Redis is not one of these, or it still runs.
    pub fn redis_bytes(&mut self) -> anyhow::Result<u64> {
        let Answer::Bytes(bytes) = self.ask(&Order::RedisBytes)? else {
            bail!("the keeper of the servers was asked for bytes")
        };
        Ok(bytes)
    }

    /// Whether RabbitMQ has a quorum queue on disk. It confirms one up to two seconds earlier; killed then, it loses the queue, or
    /// keeps one that answers nobody.
    ///
    /// # Errors
    /// RabbitMQ is not one of these.
    pub fn has_on_disk(&mut self, queue: &str) -> anyhow::Result<bool> {
        let Answer::Is(on_disk) = self.ask(&Order::HasOnDisk(queue.into()))? else {
            bail!("the keeper of the servers was asked for a queue")
        };
        Ok(on_disk)
    }

    /// Has a RabbitMQ that runs take no more messages, as it does when its memory is full; `block` false lets it take them again.
    /// Blocks.
    ///
    /// # Errors
    /// RabbitMQ is not one of these, or it does not run.
    pub fn block_rabbitmq(&mut self, block: bool) -> anyhow::Result<()> {
        self.order(&Order::BlockRabbitMq(block))
    }

    fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        self.ask(order).map(drop)
    }

    fn ask(&mut self, order: &Order) -> anyhow::Result<Answer> {
        let stdin = self.keeper.stdin.as_mut().context("the keeper of the servers takes no orders")?;
        writeln!(stdin, "{}", serde_json::to_string(order)?).context("the keeper of the servers is gone")?;
        self.answer()
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match serde_json::from_str(&line) {
            Ok(Answer::Failed(why)) => bail!(why),
            Ok(answer) => Ok(answer),
            Err(_) => bail!("the keeper of the servers ended without a word"),
        }
    }
}

impl Drop for Services {
    /// Closes the pipe and waits until the servers are stopped and their folder is removed.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Ends this process by SIGTERM, as an operator would, once its standard input is closed: the parent is gone.
pub fn stop_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
    });
}
