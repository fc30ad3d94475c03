//! Three machines on this one, for chapter 6 on clusters.
//!
//! Read `namespaces` first: the command restarts itself where it may make networks, without being root. A `machine` has a network,
//! a list of processes and an address of its own; `init` is its first process. `network` joins the machines. One module for each
//! engine has its settings, its command and its questions: `zookeeper`, `postgres` (under Patroni), `haproxy`, `redis` and
//! `rabbitmq`. `boot` starts them all, `state` tells which machine leads what. Through
//! `door`, a browser outside reaches the shop.

mod boot;
pub mod door;
mod haproxy;
mod http;
pub mod init;
mod machine;
mod namespaces;
mod network;
mod postgres;
mod processes;
mod programs;
mod rabbitmq;
mod redis;
mod slots;
mod state;
mod zookeeper;

use std::{
    fmt,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use url::Url;

pub use self::{machine::Machine, namespaces::enter, state::State};
use super::servers::process::password;

/// How many machines there are: the fewest of which any one may die.
pub const MACHINES: u8 = 3;
/// The number of the place that has no server of the cluster: the payment provider and the load test's own HAProxy run there. It
/// is never struck.
const CLIENTS: u8 = 4;
/// How long a cluster may take until it is healthy. On two busy cores, RabbitMQ takes up to a minute.
const TO_BE_HEALTHY: Duration = Duration::from_secs(300);

/// A server on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Redis on port 6379: at first the master of a third of the slots.
    Redis,
    /// Redis on port 6380: at first the replica of another machine's master.
    RedisReplica,
    /// `epmd`, which tells RabbitMQ's nodes each other's ports.
    Epmd,
    /// A node of RabbitMQ.
    RabbitMq,
    /// A ZooKeeper server.
    ZooKeeper,
    /// Patroni, which starts and stops this machine's PostgreSQL.
    Patroni,
    /// HAProxy, which leads to the machine whose PostgreSQL is the primary.
    HaProxy,
    /// The payment provider, on the place of the clients.
    Provider,
}

/// What all machines share: where their files are, and the passwords.
struct Shared {
    loadtest: PathBuf,
    password: String,
    cookie: String,
}

/// Three machines with their clusters, which run as long as this value lives.
pub struct Machines {
    machines: Vec<Arc<Machine>>,
    clients: Arc<Machine>,
    shared: Arc<Shared>,
    /// Whether somebody else has killed a machine.
    was_struck: AtomicBool,
    _folder: TempDir,
}

impl Machines {
    /// Starts three machines and waits until all of their clusters are healthy. Blocks for 20 to 60 s. The command must have
    /// [entered](enter) its namespaces.
    ///
    /// # Errors
    /// A network cannot be made, or a server does not start. The message has the last line of its log.
    pub fn start(loadtest: &Path) -> anyhow::Result<Machines> {
        let folder = tempfile::Builder::new().prefix("oversold-machines-").tempdir()?;
        network::lay()?;
        let shared = Arc::new(Shared { loadtest: loadtest.into(), password: password(), cookie: password() });
        let new = |number| Machine::new(number, loadtest, folder.path()).map(Arc::new);
        let clients = new(CLIENTS)?;
        let machines = (1..=MACHINES).map(new).collect::<anyhow::Result<Vec<_>>>()?;
        let machines = Machines { machines, clients, shared, was_struck: AtomicBool::new(false), _folder: folder };
        machines.boot()?;
        Ok(machines)
    }

    /// Machine 1, 2 or 3.
    ///
    /// # Errors
    /// There is no machine of this number.
    pub fn machine(&self, number: u8) -> anyhow::Result<&Arc<Machine>> {
        let at = usize::from(number).checked_sub(1);
        at.and_then(|at| self.machines.get(at)).with_context(|| format!("there is no machine {number}"))
    }

    /// All machines, in order.
    pub fn all(&self) -> &[Arc<Machine>] {
        &self.machines
    }

    /// PostgreSQL's primary as the load test reaches it: through HAProxy on a place that is never struck.
    ///
    /// # Errors
    /// Never, but for a bug in the URL.
    pub fn postgres(&self) -> anyhow::Result<Url> {
        haproxy::url(&self.clients, &self.shared.password)
    }

    /// The load test's own address, as the machines see it.
    pub fn load_test(&self) -> Ipv4Addr {
        network::LOAD_TEST
    }

    /// The nodes of the Redis Cluster.
    ///
    /// # Errors
    /// Never, but for a bug in the URL.
    pub fn redis(&self) -> anyhow::Result<Vec<Url>> {
        redis::urls()
    }

    /// The nodes of RabbitMQ.
    ///
    /// # Errors
    /// Never, but for a bug in the URL.
    pub fn amqp(&self) -> anyhow::Result<Vec<Url>> {
        rabbitmq::urls(&self.shared.password)
    }

    /// The payment provider.
    ///
    /// # Errors
    /// Never, but for a bug in the URL.
    pub fn provider(&self) -> anyhow::Result<Url> {
        boot::provider_url(&self.clients, &self.shared.password)
    }

    /// Brings a killed machine back: starts it and all of its servers again, with their data. Blocks until all clusters are healthy.
    ///
    /// # Errors
    /// It runs, or it does not come back.
    pub fn bring_back(&self, number: u8) -> anyhow::Result<()> {
        self.machine(number)?.switch_on()?;
        self.start_all_again(number)
    }

    /// A machine all of whose servers somebody else has killed; `None` if there is none. Asked again, it is not named again.
    pub fn died(&self) -> Option<u8> {
        let dead = self.machines.iter().find(|machine| machine.has_died())?;
        self.was_struck.store(true, Relaxed);
        Some(dead.number)
    }

    /// Starts all servers of a machine that [has died](Machines::died). Blocks until all clusters are healthy.
    ///
    /// # Errors
    /// A server runs, or it does not start.
    pub fn start_all_again(&self, number: u8) -> anyhow::Result<()> {
        self.start_parts(self.machine(number)?)?;
        self.wait_until_whole()
    }

    /// Whether a machine [has died](Machines::died) so far.
    pub(crate) fn were_struck(&self) -> bool {
        self.was_struck.load(Relaxed)
    }

    /// Starts one server of a machine again, after it was killed; does not wait for it.
    ///
    /// # Errors
    /// It runs, or its program does not start.
    pub fn start_again(&self, number: u8, part: Part) -> anyhow::Result<()> {
        let machine = self.machine(number)?;
        machine.start(part, self.command(machine, part)?)
    }
}

impl Drop for Machines {
    /// Ends all processes of all machines. Their networks end with them.
    fn drop(&mut self) {
        self.machines.iter().for_each(|machine| machine.switch_off());
        self.clients.switch_off();
    }
}

impl Part {
    /// The port that clients connect to; Patroni's is that of its PostgreSQL.
    pub fn port(self) -> u16 {
        match self {
            Part::Redis => redis::PORTS[0],
            Part::RedisReplica => redis::PORTS[1],
            Part::Epmd => 4369,
            Part::RabbitMq => rabbitmq::PORT,
            Part::ZooKeeper => zookeeper::PORT,
            Part::Patroni => postgres::PORT,
            Part::HaProxy => haproxy::PORT,
            Part::Provider => boot::PROVIDER,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Part::Redis => "redis",
            Part::RedisReplica => "redis-replica",
            Part::Epmd => "epmd",
            Part::RabbitMq => "rabbitmq",
            Part::ZooKeeper => "zookeeper",
            Part::Patroni => "patroni",
            Part::HaProxy => "haproxy",
            Part::Provider => "provider",
        })
    }
}

/// Asks every 50 ms until the answer is yes. An error counts as no. Blocks.
///
/// # Errors
/// Time is over. The message has the last error.
fn wait_until(what: &str, mut is_true: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + TO_BE_HEALTHY;
    loop {
        let last = match is_true() {
            Ok(true) => return Ok(()),
            Ok(false) => String::new(),
            Err(why) => format!(": {why:#}"),
        };
        if Instant::now() > deadline {
            bail!("{what} is not healthy after {} s{last}", TO_BE_HEALTHY.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
