//! The machines and instances that faults act on.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use url::Url;

use crate::lab::{
    deployment::Deployment,
    machines::{MACHINES, Machine, Machines, Part},
    shop_process::ShopProcess,
    stores::Stores,
};

/// How long a machine may take to answer before it counts as silent.
const SILENCE: Duration = Duration::from_millis(300);

/// What a fault acts on, and what it has chosen.
pub(in crate::fault) struct Target<'a> {
    pub(super) machines: Arc<Machines>,
    pub(in crate::fault) stores: &'a Stores,
    /// PostgreSQL's primary, as the load test reaches it.
    pub(in crate::fault) database: &'a Url,
    pub(super) shops: &'a mut [ShopProcess],
    pub(super) sale: i64,
    round: u64,
    let_in: &'a watch::Sender<usize>,
    before: usize,
    /// The machine that is struck.
    pub(super) chosen: u8,
    /// The Redis server that is struck.
    pub(super) part: Part,
    /// What was struck, for the record.
    pub(in crate::fault) seen: String,
}

impl<'a> Target<'a> {
    /// Collects what faults act on, before the strike. `let_in` lets buyers in, `before` of them until the fault is in place.
    pub(in crate::fault) fn new(
        machines: Arc<Machines>,
        deployment: &'a mut Deployment,
        (sale, round): (i64, u64),
        (let_in, before): (&'a watch::Sender<usize>, usize),
    ) -> anyhow::Result<Target<'a>> {
        let Deployment { database, stores, shops, .. } = deployment;
        let stores = stores.as_ref().context("only chapter 6 runs on three machines")?;
        let (chosen, part, seen) = (1, Part::Redis, String::new());
        Ok(Target { machines, stores, database: &database.url, shops, sale, round, let_in, before, chosen, part, seen })
    }

    /// Works with the machines on a thread that may block.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Machines) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let machines = self.machines.clone();
        spawn_blocking(move || work(&machines)).await?
    }

    /// Works with the machine that is struck.
    pub(super) async fn on_chosen<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Machine) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let chosen = self.chosen;
        self.work(move |machines| work(machines.machine(chosen)?)).await
    }

    pub(super) fn choose(&mut self, machine: u8) {
        self.chosen = machine;
        self.seen = format!("machine {machine}");
    }

    pub(super) fn choose_by_seed(&mut self) {
        self.choose(1 + ((self.round + u64::from(MACHINES) - 1) % u64::from(MACHINES)) as u8);
    }

    pub(super) async fn choose_queue_leader(&mut self) -> anyhow::Result<()> {
        let queue = format!("{}.orders", self.stores.namespace);
        let leader = self.work(move |machines| machines.queue_leader(&queue)).await?;
        self.choose(leader);
        Ok(())
    }

    pub(super) async fn choose_primary(&mut self) -> anyhow::Result<()> {
        let primary = self.work(|machines| machines.primary()).await?;
        self.choose(primary);
        Ok(())
    }

    pub(super) async fn choose_zookeeper_leader(&mut self) -> anyhow::Result<()> {
        let leader = self.work(|machines| machines.zookeeper_leader().context("ZooKeeper has no leader")).await?;
        self.choose(leader);
        Ok(())
    }

    /// Lets in more buyers, as many as leave half of the stock.
    pub(super) fn let_next_in(&self) {
        self.let_in.send_if_modified(|come| {
            let more = *come < self.before;
            *come = self.before.max(*come);
            more
        });
    }

    /// Kills the chosen machine, and its instance with it.
    pub(super) async fn kill_machine(&mut self) -> anyhow::Result<()> {
        self.on_chosen(|machine| machine.kill()).await?;
        for shop in self.shops_on(self.chosen) {
            self.shops[shop].wait().await; // it is dead; the machine cannot come back before this
        }
        Ok(())
    }

    /// Starts the chosen machine and its instance again.
    pub(super) async fn bring_machine_back(&mut self) -> anyhow::Result<()> {
        let chosen = self.chosen;
        self.work(move |machines| machines.bring_back(chosen)).await?;
        for shop in self.shops_on(chosen) {
            self.shops[shop].start_again().await?;
        }
        Ok(())
    }

    /// The instances on a machine: they take turns.
    pub(super) fn shops_on(&self, machine: u8) -> Vec<usize> {
        let first = usize::from(machine) - 1;
        (first..self.shops.len()).step_by(MACHINES.into()).collect()
    }

    pub(super) async fn kill_part(&self, part: Part) -> anyhow::Result<()> {
        self.on_chosen(move |machine| machine.kill_part(part)).await
    }

    pub(super) async fn start_part(&self, part: Part) -> anyhow::Result<()> {
        let chosen = self.chosen;
        self.work(move |machines| machines.start_again(chosen, part)).await
    }

    /// Lets a frozen machine go on, and restarts its RabbitMQ node. Its peers have given the node up, and the node has not noticed:
    /// it connects again within milliseconds, so `pause_minority` does not pause it, and the cluster stays partitioned.
    pub(super) async fn thaw(&self) -> anyhow::Result<()> {
        self.on_chosen(|machine| machine.resume()).await?;
        self.kill_part(Part::RabbitMq).await?;
        self.start_part(Part::RabbitMq).await
    }

    /// Kills a server on the chosen machine and on the next one.
    pub(super) async fn kill_on_two(&mut self, part: Part) -> anyhow::Result<()> {
        let two = self.two();
        self.seen = format!("machines {} and {}", two[0], two[1]);
        self.work(move |machines| two.iter().try_for_each(|one| machines.machine(*one)?.kill_part(part))).await
    }

    pub(super) async fn start_on_two(&self, part: Part) -> anyhow::Result<()> {
        let two = self.two();
        self.work(move |machines| two.iter().try_for_each(|one| machines.start_again(*one, part))).await
    }

    fn two(&self) -> [u8; 2] {
        [self.chosen, self.chosen % MACHINES + 1]
    }

    /// Freezes the primary's Patroni, or lets it go on.
    pub(super) async fn freeze_patroni(&self, freeze: bool) -> anyhow::Result<()> {
        let signal = if freeze { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.on_chosen(move |machine| machine.signal_part(Part::Patroni, signal)).await
    }

    /// Whether the chosen machine answers nothing: no connection, or one on which nothing is said.
    pub(super) async fn is_silent(&self) -> anyhow::Result<bool> {
        self.on_chosen(|machine| {
            let address = SocketAddr::from((machine.ip(), Part::RabbitMq.port()));
            let Ok(mut stream) = TcpStream::connect_timeout(&address, SILENCE) else { return Ok(true) };
            stream.set_read_timeout(Some(SILENCE))?;
            std::io::Write::write_all(&mut stream, b"AMQP\0\0\x09\x01")?;
            Ok(stream.read(&mut [0]).is_err())
        })
        .await
    }

    pub(super) async fn is_dead(&self, part: Part) -> anyhow::Result<bool> {
        is_dead(&self.machines, self.chosen, part)
    }

    pub(super) async fn is_second_dead(&self, part: Part) -> anyhow::Result<bool> {
        is_dead(&self.machines, self.two()[1], part)
    }

    /// Whether ZooKeeper has no leader.
    pub(super) async fn has_no_zookeeper(&self) -> anyhow::Result<bool> {
        self.work(|machines| Ok(machines.zookeeper_leader().is_none())).await
    }

    /// Whether HAProxy leads to no primary: Patroni has made it read-only, because it cannot renew its key.
    pub(super) async fn has_no_primary(&self) -> bool {
        let connecting = PgConnection::connect(self.database.as_str());
        timeout(SILENCE * 10, connecting).await.is_ok_and(|connected| connected.is_err())
    }

    /// Whether another machine leads now: the sale's Redis, or PostgreSQL. False while none does.
    pub(super) async fn leads_no_more(&self, redis: bool) -> anyhow::Result<bool> {
        let (chosen, part, key) = (self.chosen, self.part, self.stores.key(self.sale, "sale"));
        self.work(move |machines| {
            Ok(match redis {
                true => machines.redis_master_of(&key).is_ok_and(|master| master != (chosen, part)),
                false => machines.primary().is_ok_and(|primary| primary != chosen),
            })
        })
        .await
    }

    /// Whether another machine is the primary, and the old one still takes writes. The write is one that waits for no standby and
    /// changes no row; the shop refuses to work like that.
    pub(super) async fn are_both_writable(&mut self) -> anyhow::Result<bool> {
        if !self.leads_no_more(false).await? {
            return Ok(false);
        }
        let mut old = self.database.clone();
        let ip = self.on_chosen(|machine| Ok(machine.ip())).await?;
        old.set_ip_host(ip.into()).ok().context("a database without a host")?;
        old.set_port(Some(Part::Patroni.port())).ok().context("a database without a port")?;
        let writing = async {
            let mut old = PgConnection::connect(old.as_str()).await?;
            sqlx::query("set synchronous_commit = local").execute(&mut old).await?;
            sqlx::query("select pg_current_xact_id(), pg_logical_emit_message(true, 'loadtest', '')")
                .execute(&mut old)
                .await
        };
        let has_written = timeout(SILENCE * 10, writing).await.is_ok_and(|written| written.is_ok());
        self.seen = format!("machine {}; the old primary takes writes beside the new one", self.chosen);
        Ok(has_written)
    }
}

/// Whether nobody listens any more where this server did.
fn is_dead(machines: &Machines, machine: u8, part: Part) -> anyhow::Result<bool> {
    let address = SocketAddr::from((machines.machine(machine)?.ip(), part.port()));
    Ok(TcpStream::connect_timeout(&address, SILENCE).is_err())
}
