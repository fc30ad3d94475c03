//! What may break under chapter 6 in the middle of a sale, and what the sale is worth afterwards.
//!
//! To follow one fault, read `round` and from there `strike` (what is done, is it in place, what undoes it), `probe` (who
//! asks meanwhile) and `record::faults` (what came of it). `network` is a network that can fail, `links` are those between one instance and
//! its servers. A new fault is a member of `Fault`; the compiler names the rest.

mod links;
pub mod network;
mod probe;
pub mod resume;
mod round;
mod strike;

use std::fmt;

use anyhow::ensure;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{lab::faketime, scenario::plan::Plan};

pub use round::round;

/// What is done to a server or to an instance while the crowd buys. All come back at their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Redis is killed (kill -9) and started again with its data
    RedisKilled,
    /// Redis is emptied while it runs (FLUSHALL)
    RedisFlushed,
    /// Redis is killed, its data is removed, and it is started again
    RedisEmptied,
    /// Redis is killed, the last third of what it has logged in this sale is cut off, and it is started again
    RedisCut,
    /// RabbitMQ is killed (kill -9) and started again with its data
    #[value(name = "rabbitmq-killed")]
    #[serde(rename = "rabbitmq-killed")]
    RabbitMqKilled,
    /// PostgreSQL is killed (kill -9) and started again with its data
    PostgresKilled,
    /// One instance of the shop is killed (kill -9) and started again
    InstanceKilled,
    /// One instance of the shop is told to stop (SIGTERM) and started again
    InstanceStopped,
    /// The host of the instance that leads is lost: its connections are silent, it is killed; and Redis is emptied, which takes
    /// a leader to mend. It is back after the next confirmed order
    LeaderLost,
    /// The host of another instance is lost when it is about to commit orders, so that it holds the sale's row. It is back after
    /// the next confirmed order
    WorkerLost,
    /// The instance that leads is frozen (SIGSTOP), and Redis is emptied. It wakes after the next confirmed order
    LeaderStopped,
    /// Another instance is frozen (SIGSTOP) when it is about to commit orders. It wakes after the next confirmed order
    WorkerStopped,
    /// All open connections to PostgreSQL are silent for ever; new ones work
    PostgresSilent,
    /// PostgreSQL takes no writes for five seconds
    PostgresReadonly,
    /// All open connections to Redis are silent for ever; new ones work
    RedisSilent,
    /// Redis is made a replica of a server that is not there, and a primary again after five seconds
    RedisDemoted,
    /// Redis is made a replica of one that lacks its last reservations, takes over that one's data, and is made a primary again
    RedisFailback,
    /// All open connections to RabbitMQ are silent for ever; new ones work
    #[value(name = "rabbitmq-silent")]
    #[serde(rename = "rabbitmq-silent")]
    RabbitMqSilent,
    /// RabbitMQ takes no messages for five seconds, as when its memory is full
    #[value(name = "rabbitmq-blocked")]
    #[serde(rename = "rabbitmq-blocked")]
    RabbitMqBlocked,
    /// Entries of the outbox are acknowledged and not deleted, so that no relay reads them again
    OutboxTorn,
    /// One instance is killed and started again on a machine whose clock is ten minutes ahead
    ClockSkewed,
    /// RabbitMQ and Redis are killed; Redis is started again at once, RabbitMQ five seconds later
    #[value(name = "redis-and-rabbitmq-killed")]
    #[serde(rename = "redis-and-rabbitmq-killed")]
    RedisRabbitKilled,
    /// RabbitMQ and PostgreSQL are killed, and started again one after the other: first PostgreSQL
    #[value(name = "postgres-and-rabbitmq-killed")]
    #[serde(rename = "postgres-and-rabbitmq-killed")]
    PostgresRabbitKilled,
    /// An instance is killed (kill -9) in the middle of a payment, and started again: before or after the card is authorised or
    /// charged, in turn
    PaymentKilled,
    /// The payment provider answers nothing for five seconds
    ProviderSilent,
    /// The bank decides later whether a card is good, and the payment provider says so late
    ProviderLate,
}

impl Fault {
    /// Whether reservations can be lost that no other server knows of, so that `queued` may end in `failed`. A killed Redis loses none:
    /// the operating system still has what it has written.
    pub fn loses_reservations(self) -> bool {
        use Fault::*;
        match self {
            RedisFlushed | RedisEmptied | RedisCut | RedisFailback | LeaderLost | LeaderStopped => true,
            RedisKilled | RabbitMqKilled | PostgresKilled | InstanceKilled | InstanceStopped | WorkerLost
            | WorkerStopped | PostgresSilent | PostgresReadonly | RedisSilent | RedisDemoted | RabbitMqSilent
            | RabbitMqBlocked | OutboxTorn | ClockSkewed | RedisRabbitKilled | PostgresRabbitKilled | PaymentKilled
            | ProviderSilent | ProviderLate => false,
        }
    }

    /// Whether its sale has buyers who pay, cancel, and let their orders expire.
    fn is_about_money(self) -> bool {
        matches!(self, Fault::PaymentKilled | Fault::ProviderSilent | Fault::ProviderLate)
    }

    /// Whether each instance needs a network of its own to each server, to be silent or to hold a request.
    fn needs_links(self) -> bool {
        use Fault::*;
        match self {
            LeaderLost | WorkerLost | WorkerStopped | PostgresSilent | RedisSilent | RabbitMqSilent | OutboxTorn => {
                true
            }
            RedisKilled | RedisFlushed | RedisEmptied | RedisCut | RabbitMqKilled | PostgresKilled | InstanceKilled
            | InstanceStopped | LeaderStopped | PostgresReadonly | RedisDemoted | RedisFailback | RabbitMqBlocked
            | ClockSkewed | RedisRabbitKilled | PostgresRabbitKilled | PaymentKilled | ProviderSilent
            | ProviderLate => false,
        }
    }

    /// Whether it can strike a sale of this plan on this machine.
    ///
    /// # Errors
    /// It cannot; with what to do.
    pub fn check(self, plan: &Plan) -> anyhow::Result<()> {
        let takes_one_away = [Fault::LeaderLost, Fault::WorkerLost, Fault::LeaderStopped, Fault::WorkerStopped];
        let enough = plan.instances > 1 || !takes_one_away.contains(&self);
        ensure!(enough, "{self} takes one instance away, and another has to go on: it needs --instances 2 or more");
        let can_skew = self != Fault::ClockSkewed || faketime::is_installed();
        ensure!(can_skew, "{self} needs faketime, which is not installed; `make test-tools` installs it");
        Ok(())
    }
}

impl fmt::Display for Fault {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_and_the_command_line_name_a_fault_alike() {
        for fault in Fault::value_variants() {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.to_string());
        }
    }

    #[test]
    fn who_takes_an_instance_away_needs_another() {
        let plan = |instances| Plan { instances, ..Plan::stampede(crate::version::Version::V6, None) };
        let why = Fault::WorkerStopped.check(&plan(1)).unwrap_err().to_string();
        assert!(why.starts_with("worker-stopped takes one instance away") && why.ends_with("--instances 2 or more"));
        Fault::WorkerStopped.check(&plan(2)).unwrap();
        Fault::InstanceKilled.check(&plan(1)).unwrap();
    }
}
