//! The kinds of servers that the keeper can run.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{mariadb, memcached, postgres, process::Process, provider, rabbitmq, redis, redis_cluster, zookeeper};

/// A kind of server that the keeper can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize, Deserialize)]
pub enum Server {
    /// PostgreSQL, the database of every chapter.
    Postgres,
    /// Redis, chapter 6's in-memory stock.
    Redis,
    /// Redis as a cluster of three primaries and three replicas, which chapter 6 can use instead.
    RedisCluster,
    /// RabbitMQ, chapter 6's message queue.
    #[value(name = "rabbitmq")]
    RabbitMq,
    /// Chapter 6's payment provider: a fake one, run by this program.
    Provider,
    /// MariaDB, which no shop uses: tests and ways compare it with PostgreSQL.
    #[value(name = "mariadb")]
    MariaDb,
    /// memcached, which only ways use.
    Memcached,
    /// ZooKeeper, which only ways use.
    #[value(name = "zookeeper")]
    ZooKeeper,
}

impl Server {
    /// All servers that a shop uses.
    pub const OF_SHOPS: [Server; 4] = [Server::Postgres, Server::Redis, Server::RabbitMq, Server::Provider];
    /// The servers that chapter 6's shop needs to sell.
    pub const STORES: [Server; 3] = [Server::Postgres, Server::Redis, Server::RabbitMq];

    /// Whether its programs are installed on this machine.
    pub fn is_installed(self) -> bool {
        self.programs().is_ok()
    }

    /// Why it cannot be started, and what installs it; `None` if it is installed.
    pub fn missing(self) -> Option<String> {
        self.programs().err().map(|why| why.to_string())
    }

    /// The environment variable for its URL. A shop reads it there, if it uses the server.
    pub fn variable(self) -> &'static str {
        match self {
            Server::Postgres => "DATABASE_URL",
            Server::Redis | Server::RedisCluster => "REDIS_URL",
            Server::RabbitMq => "AMQP_URL",
            Server::Provider => "PROVIDER_URL",
            Server::MariaDb => "MARIADB_URL",
            Server::Memcached => "MEMCACHED_URL",
            Server::ZooKeeper => "ZOOKEEPER_URL",
        }
    }

    /// Its name as an argument of the keeper.
    pub(super) fn word(self) -> &'static str {
        match self {
            Server::Postgres => "postgres",
            Server::Redis => "redis",
            Server::RedisCluster => "redis-cluster",
            Server::RabbitMq => "rabbitmq",
            Server::Provider => "provider",
            Server::MariaDb => "mariadb",
            Server::Memcached => "memcached",
            Server::ZooKeeper => "zookeeper",
        }
    }

    /// The folder of its programs.
    ///
    /// # Errors
    /// It is not installed. The message says how to install it.
    pub(in crate::lab) fn programs(self) -> anyhow::Result<PathBuf> {
        let (folder, installs) = match self {
            Server::Postgres => (postgres::programs(), "services"),
            Server::Redis | Server::RedisCluster => (redis::programs(), "services"),
            Server::RabbitMq => (rabbitmq::programs(), "services"),
            Server::Provider => (provider::programs(), "services"),
            Server::MariaDb => (mariadb::programs(), "test-tools"),
            Server::Memcached => (memcached::programs(), "test-tools"),
            Server::ZooKeeper => (zookeeper::programs(), "test-tools"),
        };
        folder.with_context(|| format!("{self} is not installed; `make {installs}` installs it"))
    }

    /// Starts it as a cluster, with its data in `folder`, and waits until all of it answers: PostgreSQL with a synchronous standby,
    /// RabbitMQ as three nodes. The others are single servers also here.
    pub(super) fn start_replicated(self, folder: &Path) -> anyhow::Result<Vec<Process>> {
        match self {
            Server::Postgres => postgres::start_replicated(&self.programs()?, folder),
            Server::RabbitMq => rabbitmq::cluster::start(&self.programs()?, folder),
            other => other.start_nodes(folder),
        }
    }

    /// Starts it with its data in `folder` and waits until it answers; a Redis Cluster with all of its nodes.
    pub(super) fn start_nodes(self, folder: &Path) -> anyhow::Result<Vec<Process>> {
        match self {
            Server::RedisCluster => redis_cluster::start(&self.programs()?, folder),
            one => Ok(vec![one.start(folder)?]),
        }
    }

    /// Starts it with its data in `folder` and waits until it answers.
    pub(super) fn start(self, folder: &Path) -> anyhow::Result<Process> {
        let programs = self.programs()?;
        match self {
            Server::Postgres => postgres::start(&programs, folder),
            Server::Redis => redis::start(&programs, folder),
            Server::RedisCluster => bail!("{self} has several nodes"),
            Server::RabbitMq => rabbitmq::start(&programs, folder),
            Server::Provider => provider::start(folder),
            Server::MariaDb => mariadb::start(&programs, folder),
            Server::Memcached => memcached::start(&programs, folder),
            Server::ZooKeeper => zookeeper::start(&programs, folder),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Server::Postgres => "PostgreSQL",
            Server::Redis => "Redis",
            Server::RedisCluster => "Redis Cluster",
            Server::RabbitMq => "RabbitMQ",
            Server::Provider => "the payment provider",
            Server::MariaDb => "MariaDB",
            Server::Memcached => "memcached",
            Server::ZooKeeper => "ZooKeeper",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{thread::sleep, time::Duration};

    use super::*;
    use crate::lab::servers::port::{
        ATTEMPTS, Port,
        tests::{choose, taken},
    };

    fn folder() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("oversold-servers-").tempdir().unwrap()
    }

    /// Starts the server while another program listens on one of the ports that it has chosen.
    fn starts_elsewhere(server: Server, which: usize) {
        let (folder, (port, _stranger)) = (folder(), taken());
        let number = port.number();
        choose((0..which).map(|_| Port::take().unwrap()).chain([port]).collect::<Vec<_>>());
        let process = server.start(folder.path()).unwrap();
        assert_ne!(process.url.port(), Some(number));
    }

    #[test]
    #[ignore = "needs Redis: make test"]
    fn redis_starts_elsewhere_if_its_port_is_taken_meanwhile() {
        starts_elsewhere(Server::Redis, 0);
    }

    #[test]
    #[ignore = "needs PostgreSQL: make test"]
    fn postgres_starts_elsewhere_if_its_port_is_taken_meanwhile() {
        starts_elsewhere(Server::Postgres, 0);
    }

    #[test]
    #[ignore = "needs MariaDB: make test"]
    fn mariadb_starts_elsewhere_if_its_port_is_taken_meanwhile() {
        starts_elsewhere(Server::MariaDb, 0);
    }

    #[test]
    #[ignore = "needs memcached: make test"]
    fn memcached_starts_elsewhere_if_its_port_is_taken_meanwhile() {
        starts_elsewhere(Server::Memcached, 0);
    }

    #[test]
    #[ignore = "needs ZooKeeper: make test"]
    fn zookeeper_starts_elsewhere_if_its_port_is_taken_meanwhile() {
        starts_elsewhere(Server::ZooKeeper, 0);
    }

    #[test]
    #[ignore = "needs RabbitMQ: make test"]
    fn rabbitmq_starts_elsewhere_if_one_of_its_three_ports_is_taken_meanwhile() {
        for which in 0..3 {
            starts_elsewhere(Server::RabbitMq, which);
        }
    }

    #[test]
    #[ignore = "needs Redis: make test"]
    fn a_server_keeps_its_port_while_it_is_dead() {
        let folder = folder();
        let mut redis = Server::Redis.start(folder.path()).unwrap();
        let port = redis.url.port().unwrap();
        redis.kill().unwrap();
        assert!(Port::claim(port).unwrap().is_none(), "no other process of ours gets it");
        redis.start_again().unwrap();

        redis.kill().unwrap();
        let stranger = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let why = redis.start_again().unwrap_err().to_string();
        let refused = format!("Redis does not start on port {port} (exit status: 1): ");
        assert!(why.starts_with(&refused), "{why}");
        drop(stranger);
        // A child of a parallel test keeps a copy of our sockets until it runs its program.
        let again = (0..600).any(|_| {
            sleep(Duration::from_millis(100));
            match redis.start_again() {
                Ok(()) => true,
                Err(why) => {
                    assert!(why.to_string().starts_with(&refused), "{why}");
                    false
                }
            }
        });
        assert!(again, "the port is free again");
    }

    #[test]
    #[ignore = "needs RabbitMQ: make test"]
    fn a_server_without_a_log_is_refused_with_its_port_and_its_end() {
        let (ports, _strangers): (Vec<_>, Vec<_>) = (0..ATTEMPTS).map(|_| taken()).unzip();
        let last = ports[ATTEMPTS - 1].number();
        choose(ports);
        let why = Server::RabbitMq.start(folder().path()).err().unwrap().to_string();
        assert!(why.starts_with(&format!("epmd does not start on port {last} (exit status: ")), "{why}");
        assert!(why.ends_with(&format!("): port {last} is taken; its log is empty")), "{why}");
    }
}
