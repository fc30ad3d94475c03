//! Faults of three machines: one machine, or one node of a cluster.
//!
//! As for single servers, each fault has the steps `prepare`, `arm`, `strike`, `comes_into_place`, `mend` and `bring_back`. The
//! clusters have to recover by themselves: `mend` does something only where a majority is gone. What was struck returns after the
//! first confirmed order.

mod redis;
mod rolling;
mod target;

use std::{fmt, time::Duration};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

pub(super) use self::target::Target;
use crate::lab::machines::Part;

/// How long a fault may take until it is in place. A switchover waits for the standby.
const TO_BE_IN_PLACE: Duration = Duration::from_secs(30);
/// How often to check whether a fault is in place.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long RabbitMQ has no majority, and PostgreSQL no primary because ZooKeeper has none.
const A_WHILE: Duration = Duration::from_secs(5);

/// A fault of three machines, which strikes while the crowd buys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineFault {
    /// A machine's plug is pulled: its cable is taken down, then all of its processes are killed (kill -9). The seed chooses the
    /// machine: seed 1 takes machine 1, and so on
    MachineKilled,
    /// All processes of a machine are frozen (SIGSTOP); its connections stay open. Afterwards they go on, and its RabbitMQ node is
    /// restarted, as an operator has to. The seed chooses the machine
    MachineStopped,
    /// A machine is cut off from the network, and its processes run on. The seed chooses the machine
    MachineCutOff,
    /// The Redis master that holds the sale is killed (kill -9)
    RedisMasterKilled,
    /// The Redis master that holds the sale is killed while its replica is 500 ms behind
    RedisMasterKilledLagging,
    /// The sale's slot is moved to another Redis master
    SlotMoved,
    /// The RabbitMQ node that leads the queue of orders is killed (kill -9)
    QueueLeaderKilled,
    /// Two of three RabbitMQ nodes are killed, and started again after five seconds
    QueueNoMajority,
    /// PostgreSQL's primary and its Patroni are killed (kill -9)
    PostgresPrimaryKilled,
    /// PostgreSQL's standby becomes the primary, as an operator plans it
    PostgresSwitchover,
    /// The primary's Patroni is frozen (SIGSTOP) with its network up: the old primary stays writable beside the new one
    PatroniStopped,
    /// The ZooKeeper leader is killed (kill -9)
    #[value(name = "zookeeper-leader-killed")]
    #[serde(rename = "zookeeper-leader-killed")]
    ZooKeeperLeaderKilled,
    /// Two of three ZooKeeper servers are killed, and started again five seconds after PostgreSQL has become read-only
    #[value(name = "zookeeper-no-majority")]
    #[serde(rename = "zookeeper-no-majority")]
    ZooKeeperNoMajority,
    /// Each machine in turn is emptied, as an operator plans it, switched off, and started again
    RollingRestart,
}

use MachineFault::{
    MachineCutOff, MachineKilled, MachineStopped, PatroniStopped, PostgresPrimaryKilled, PostgresSwitchover,
    QueueLeaderKilled, QueueNoMajority, RedisMasterKilled, RedisMasterKilledLagging, RollingRestart, SlotMoved,
    ZooKeeperLeaderKilled, ZooKeeperNoMajority,
};

impl MachineFault {
    /// Whether reservations can be lost that no other server has. A Redis master confirms a write before its replica has it, so a
    /// failover can lose the last ones; the sale is then rebuilt from SQL.
    pub(super) fn loses_reservations(self) -> bool {
        match self {
            MachineKilled
            | MachineStopped
            | MachineCutOff
            | RedisMasterKilled
            | RedisMasterKilledLagging
            | SlotMoved
            | RollingRestart => true,
            QueueLeaderKilled
            | QueueNoMajority
            | PostgresPrimaryKilled
            | PostgresSwitchover
            | PatroniStopped
            | ZooKeeperLeaderKilled
            | ZooKeeperNoMajority => false,
        }
    }

    /// Waits until the machines have recovered from the round before.
    pub(super) async fn prepare(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        target.work(|machines| machines.wait_until_healthy()).await
    }

    /// Chooses what is struck, and lets in the next buyers, whose requests meet the fault.
    pub(super) async fn arm(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            MachineKilled | MachineStopped | MachineCutOff => target.choose_by_seed(),
            RedisMasterKilled | RedisMasterKilledLagging | SlotMoved => target.choose_redis_master().await?,
            QueueLeaderKilled => target.choose_queue_leader().await?,
            PostgresPrimaryKilled | PostgresSwitchover | PatroniStopped => target.choose_primary().await?,
            ZooKeeperLeaderKilled => target.choose_zookeeper_leader().await?,
            QueueNoMajority | ZooKeeperNoMajority => target.choose_by_seed(),
            RollingRestart => target.choose(1),
        }
        target.let_next_in();
        if self == RedisMasterKilledLagging {
            target.leave_replica_behind().await?;
        }
        Ok(())
    }

    /// Injects the fault.
    pub(super) async fn strike(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            MachineKilled => target.kill_machine().await,
            MachineStopped => target.on_chosen(|machine| machine.stop()).await,
            MachineCutOff => target.on_chosen(|machine| machine.cut_off()).await,
            RedisMasterKilled | RedisMasterKilledLagging => target.kill_part(target.part).await,
            SlotMoved => target.move_slot().await,
            QueueLeaderKilled => target.kill_part(Part::RabbitMq).await,
            QueueNoMajority => target.kill_on_two(Part::RabbitMq).await,
            PostgresPrimaryKilled => target.kill_part(Part::Patroni).await,
            PostgresSwitchover => target.work(|machines| machines.switch_over()).await,
            PatroniStopped => target.freeze_patroni(true).await,
            ZooKeeperLeaderKilled => target.kill_part(Part::ZooKeeper).await,
            ZooKeeperNoMajority => target.kill_on_two(Part::ZooKeeper).await,
            RollingRestart => target.take_out(1).await,
        }
    }

    /// Waits until the fault is in place; false if it is not in time. A strike may have no effect.
    pub(super) async fn comes_into_place(self, target: &mut Target<'_>) -> anyhow::Result<bool> {
        let deadline = Instant::now() + TO_BE_IN_PLACE;
        while !self.is_in_place(target).await? {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    async fn is_in_place(self, target: &mut Target<'_>) -> anyhow::Result<bool> {
        Ok(match self {
            MachineKilled | MachineStopped | MachineCutOff | RollingRestart => target.is_silent().await?,
            RedisMasterKilled | RedisMasterKilledLagging => target.is_dead(target.part).await?,
            SlotMoved | PostgresSwitchover => target.leads_no_more(self == SlotMoved).await?,
            QueueLeaderKilled => target.is_dead(Part::RabbitMq).await?,
            QueueNoMajority => target.is_dead(Part::RabbitMq).await? && target.is_second_dead(Part::RabbitMq).await?,
            PostgresPrimaryKilled => target.is_dead(Part::Patroni).await?,
            PatroniStopped => target.are_both_writable().await?,
            ZooKeeperLeaderKilled => target.is_dead(Part::ZooKeeper).await?,
            ZooKeeperNoMajority => target.has_no_zookeeper().await? && target.has_no_primary().await,
        })
    }

    /// Gives a cluster its majority back, or continues a rolling restart. Does nothing where the clusters have to recover by
    /// themselves.
    pub(super) async fn mend(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            QueueNoMajority => {
                sleep(A_WHILE).await;
                target.start_on_two(Part::RabbitMq).await
            }
            ZooKeeperNoMajority => {
                sleep(A_WHILE).await;
                target.start_on_two(Part::ZooKeeper).await
            }
            RollingRestart => target.roll().await,
            MachineKilled
            | MachineStopped
            | MachineCutOff
            | RedisMasterKilled
            | RedisMasterKilledLagging
            | SlotMoved
            | QueueLeaderKilled
            | PostgresPrimaryKilled
            | PostgresSwitchover
            | PatroniStopped
            | ZooKeeperLeaderKilled => Ok(()),
        }
    }

    /// Brings back what was struck, and waits until all clusters are whole again. `None` if nothing was taken away.
    pub(super) async fn bring_back(self, target: &mut Target<'_>) -> anyhow::Result<Option<()>> {
        match self {
            MachineKilled => target.bring_machine_back().await?,
            MachineStopped => target.thaw().await?,
            MachineCutOff => target.on_chosen(|machine| machine.join()).await?,
            RedisMasterKilled | RedisMasterKilledLagging => target.start_part(target.part).await?,
            QueueLeaderKilled => target.start_part(Part::RabbitMq).await?,
            PostgresPrimaryKilled => target.start_part(Part::Patroni).await?,
            PatroniStopped => target.freeze_patroni(false).await?,
            ZooKeeperLeaderKilled => target.start_part(Part::ZooKeeper).await?,
            SlotMoved | QueueNoMajority | PostgresSwitchover | ZooKeeperNoMajority | RollingRestart => {
                target.work(|machines| machines.wait_until_whole()).await?;
                return Ok(None);
            }
        }
        target.work(|machines| machines.wait_until_whole()).await.map(Some)
    }
}

impl fmt::Display for MachineFault {
    /// The name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
