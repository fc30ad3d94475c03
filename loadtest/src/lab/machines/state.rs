//! Who leads what. Two states that differ show that there was a failover in between.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{MACHINES, Machines, Part, postgres, rabbitmq, redis, slots, zookeeper};

/// Who leads PostgreSQL, and how often leaders have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The machine of PostgreSQL's primary.
    pub primary: u8,
    /// PostgreSQL's timeline: each new primary adds one.
    pub timeline: u32,
    /// Redis Cluster's epoch: each failover and each moved slot adds at least one.
    pub redis_epoch: u64,
    /// The later elections of RabbitMQ's queues in the nodes' logs.
    pub elections: usize,
}

impl Machines {
    /// The state now. Blocks for some milliseconds.
    ///
    /// # Errors
    /// No machine answers, or there is no primary.
    pub fn state(&self) -> anyhow::Result<State> {
        let folders: Vec<_> = self.all().iter().map(|machine| machine.folder_of(Part::RabbitMq)).collect();
        let timeline = postgres::members()?.iter().map(|member| member.timeline).max();
        Ok(State {
            primary: postgres::machine_of("leader")?,
            timeline: timeline.unwrap_or_default(),
            redis_epoch: redis::epoch()?,
            elections: rabbitmq::elections(&folders),
        })
    }

    /// The machine and the server that is the Redis master of a key. Blocks.
    ///
    /// # Errors
    /// No server answers, or no master serves the key.
    pub fn redis_master_of(&self, key: &str) -> anyhow::Result<(u8, Part)> {
        let node = redis::master_of(key)?;
        Ok((node.machine, redis::part_at(node.port)))
    }

    /// Moves the slot of a key to the master of another machine, with its keys. Returns the slot and that machine. Blocks.
    ///
    /// # Errors
    /// A server refuses.
    pub fn move_slot(&self, key: &str) -> anyhow::Result<(u16, u8)> {
        slots::move_slot(key)
    }

    /// Closes the connection between the Redis master of a key and its replica, and refuses a new one until the master is
    /// restarted. Blocks.
    ///
    /// # Errors
    /// A server refuses.
    pub fn separate_replica(&self, key: &str) -> anyhow::Result<()> {
        slots::separate_replica(key)
    }

    /// Makes other machines lead PostgreSQL and Redis, as an operator does before a restart. Blocks.
    ///
    /// # Errors
    /// A cluster refuses, or does not follow the order.
    pub fn empty(&self, machine: u8) -> anyhow::Result<()> {
        if postgres::machine_of("leader")? == machine {
            postgres::switch_over()?;
        }
        slots::fail_over_from(machine)
    }

    /// The machine whose RabbitMQ node leads a queue. Blocks for two seconds.
    ///
    /// # Errors
    /// No node answers, or the queue does not exist.
    pub fn queue_leader(&self, queue: &str) -> anyhow::Result<u8> {
        rabbitmq::leader_of(&self.machines[0], queue)
    }

    /// The machine of PostgreSQL's primary. Blocks.
    ///
    /// # Errors
    /// No Patroni answers, or there is no primary.
    pub fn primary(&self) -> anyhow::Result<u8> {
        postgres::machine_of("leader")
    }

    /// Makes the synchronous standby the primary, as an operator does. Blocks until it is.
    ///
    /// # Errors
    /// Patroni refuses.
    pub fn switch_over(&self) -> anyhow::Result<()> {
        postgres::switch_over()
    }

    /// The machine of ZooKeeper's leader; `None` while there is none. Blocks.
    pub fn zookeeper_leader(&self) -> Option<u8> {
        (1..=MACHINES).find(|number| matches!(zookeeper::role(*number), Ok(Some(role)) if role == "leader"))
    }
}

impl State {
    /// The state now; `None` with single servers.
    ///
    /// # Errors
    /// As for [`Machines::state`].
    pub async fn now(machines: Option<&Arc<Machines>>) -> anyhow::Result<Option<State>> {
        let Some(machines) = machines.cloned() else { return Ok(None) };
        Ok(Some(spawn_blocking(move || machines.state()).await??))
    }

    /// Which engines have failed over between two states, in words; `None` if none has.
    pub fn changed_to(&self, later: &State) -> Option<String> {
        let changes = [
            (self.primary != later.primary || self.timeline != later.timeline).then_some("PostgreSQL"),
            (self.redis_epoch != later.redis_epoch).then_some("Redis"),
            (self.elections != later.elections).then_some("RabbitMQ"),
        ];
        let changed: Vec<&str> = changes.into_iter().flatten().collect();
        (!changed.is_empty()).then(|| format!("{} failed over although nothing was struck", changed.join(" and ")))
    }
}
