//! Starts all servers of all machines, each as soon as what it needs is up, and waits until all clusters are healthy.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{anyhow, bail};
use url::Url;

use super::{Machines, Part, haproxy, machine::Machine, postgres, rabbitmq, redis, wait_until, zookeeper};

/// The servers of a machine, in the order in which they start. Patroni finds ZooKeeper by itself, but looks every ten seconds only.
const PARTS: [Part; 7] =
    [Part::Epmd, Part::ZooKeeper, Part::Redis, Part::RedisReplica, Part::HaProxy, Part::RabbitMq, Part::Patroni];
/// The payment provider's port.
pub(super) const PROVIDER: u16 = 3001;

impl Machines {
    /// Starts everything for the first time.
    pub(super) fn boot(&self) -> anyhow::Result<()> {
        haproxy::prepare(&self.clients)?;
        fs::create_dir_all(self.clients.folder_of(Part::Provider))?;
        for part in [Part::HaProxy, Part::Provider] {
            self.clients.start(part, self.command(&self.clients, part)?)?;
        }
        for machine in self.all() {
            zookeeper::prepare(machine)?;
            redis::prepare(machine, Part::Redis)?;
            redis::prepare(machine, Part::RedisReplica)?;
            rabbitmq::prepare(machine, &self.shared)?;
            postgres::prepare(machine, &self.shared)?;
            haproxy::prepare(machine)?;
        }
        thread::scope(|scope| {
            let starting: Vec<_> = self.all().iter().map(|machine| scope.spawn(|| self.start_parts(machine))).collect();
            let forming = scope.spawn(redis::form);
            let started = starting.into_iter().chain([forming]).map(|one| one.join());
            started.collect::<Vec<_>>().into_iter().try_for_each(|one| one.map_err(|_| anyhow!("a thread panicked"))?)
        })?;
        self.wait_until_healthy()
    }

    /// Starts all servers of a machine.
    pub(super) fn start_parts(&self, machine: &Machine) -> anyhow::Result<()> {
        for part in PARTS {
            if part == Part::Patroni {
                wait_until("ZooKeeper", || Ok(zookeeper::role(machine.number)?.is_some()))?;
            }
            machine.start(part, self.command(machine, part)?)?;
        }
        Ok(())
    }

    /// The command of a server.
    pub(super) fn command(&self, machine: &Machine, part: Part) -> anyhow::Result<Command> {
        Ok(match part {
            Part::Epmd => rabbitmq::epmd(machine),
            Part::ZooKeeper => zookeeper::command()?,
            Part::Redis | Part::RedisReplica => redis::command(&redis::programs()?),
            Part::HaProxy => haproxy::command(),
            Part::RabbitMq => rabbitmq::command(machine)?,
            Part::Patroni => postgres::command(),
            Part::Provider => {
                let mut command = Command::new(&self.shared.loadtest);
                let listen = format!("{}:{PROVIDER}", machine.ip());
                command.args(["provider", "--listen", &listen, "--ledger", "ledger.db"]);
                command.env("PROVIDER_SECRET", &self.shared.password);
                command
            }
        })
    }

    /// Waits until all clusters are whole, and each machine has one Redis master. Blocks.
    ///
    /// # Errors
    /// A server has ended, or a cluster is not healthy within five minutes.
    pub fn wait_until_healthy(&self) -> anyhow::Result<()> {
        self.wait_until_whole()?;
        redis::fail_back()?;
        wait_until("Redis Cluster", redis::is_healthy)
    }

    /// Waits until all servers run and have joined their clusters, whichever leads. Blocks.
    ///
    /// # Errors
    /// A server has ended, or a cluster is not whole within five minutes.
    pub fn wait_until_whole(&self) -> anyhow::Result<()> {
        let checks: [(&str, &(dyn Fn() -> anyhow::Result<bool> + Sync)); 4] = [
            ("ZooKeeper", &zookeeper_is_healthy),
            ("RabbitMQ", &|| self.rabbitmq_is_healthy()),
            ("PostgreSQL under Patroni", &postgres::is_healthy),
            ("Redis Cluster", &redis::is_healthy),
        ];
        for (what, check) in checks {
            wait_until(what, || {
                if let Some(why) = self.all().iter().chain([&self.clients]).find_map(|machine| machine.has_ended()) {
                    bail!(why)
                }
                check()
            })?;
        }
        Ok(())
    }

    fn rabbitmq_is_healthy(&self) -> anyhow::Result<bool> {
        for machine in self.all() {
            if !rabbitmq::answers(machine.number)? {
                return Ok(false);
            }
        }
        if rabbitmq::running(&self.machines[0])? == self.machines.len() {
            return Ok(true);
        }
        thread::sleep(Duration::from_millis(500)); // the question costs a second of processor time
        Ok(false)
    }
}

/// Whether there is one leader, and the others follow.
fn zookeeper_is_healthy() -> anyhow::Result<bool> {
    let roles = (1..=super::MACHINES).map(zookeeper::role).collect::<anyhow::Result<Vec<_>>>()?;
    let with = |role: &str| roles.iter().flatten().filter(|one| *one == role).count();
    Ok(with("leader") == 1 && with("follower") == roles.len() - 1)
}

/// The payment provider on the place of the clients.
pub(super) fn provider_url(clients: &Machine, password: &str) -> anyhow::Result<Url> {
    Ok(format!("http://shop:{password}@{}:{PROVIDER}/", clients.ip()).parse()?)
}
