//! Fault injection for chapter 6: one fault in the middle of a sale, and an audit afterwards.
//!
//! To follow one fault, read `round` first. Then `strike` (inject, check, repair), `probe` (the buyers during the fault) and
//! `record::faults` (the results). `by_hand` is a sale during which a person strikes. `network` is a proxy that can fail, and
//! `links` are the proxies between one instance and its servers. A new fault is a new member of `Fault`, or of `MachineFault` in
//! `machines`; the compiler names all other places. `blow` is what both have in common.

mod blow;
pub(crate) mod by_hand;
mod links;
mod machines;
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

pub use self::{
    blow::AnyFault,
    machines::MachineFault,
    round::{round, round_on_machines},
};

/// A fault that is injected into a server or an instance while the crowd buys. Servers and instances return at the same address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Redis is killed (kill -9) and started again with its data
    RedisKilled,
    /// Redis is emptied while it runs (FLUSHALL)
    RedisFlushed,
    /// Redis is killed, its data is removed, and it is started again
    RedisEmptied,
    /// Redis is killed, the last third of its log of this sale is cut off, and it is started again
    RedisCut,
    /// RabbitMQ is killed (kill -9) and started again with its data
    #[value(name = "rabbitmq-killed")]
    #[serde(rename = "rabbitmq-killed")]
    RabbitMqKilled,
    /// PostgreSQL is killed (kill -9) and started again with its data
    PostgresKilled,
    /// One instance of the shop is killed (kill -9) and started again
    InstanceKilled,
    /// One instance of the shop is stopped (SIGTERM) and started again
    InstanceStopped,
    /// The leader's host is lost: its connections go silent and it is killed. Redis is emptied too, which only a leader can
    /// repair. The instance returns after the next confirmed order
    LeaderLost,
    /// The host of another instance is lost just before it commits orders, so that its session still locks the sale's row. The
    /// instance returns after the next confirmed order
    WorkerLost,
    /// The leader is frozen (SIGSTOP), and Redis is emptied. It wakes after the next confirmed order
    LeaderStopped,
    /// Another instance is frozen (SIGSTOP) just before it commits orders. It wakes after the next confirmed order
    WorkerStopped,
    /// All open connections to PostgreSQL go silent for good; new ones work
    PostgresSilent,
    /// PostgreSQL refuses writes for five seconds
    PostgresReadonly,
    /// All open connections to Redis go silent for good; new ones work
    RedisSilent,
    /// Redis becomes a replica of a server that does not exist, and a primary again after five seconds
    RedisDemoted,
    /// Redis becomes a replica of one that lacks its last reservations, copies that one's data, and becomes a primary again
    RedisFailback,
    /// All open connections to RabbitMQ go silent for good; new ones work
    #[value(name = "rabbitmq-silent")]
    #[serde(rename = "rabbitmq-silent")]
    RabbitMqSilent,
    /// RabbitMQ blocks publishers for five seconds, as it does when its memory is full
    #[value(name = "rabbitmq-blocked")]
    #[serde(rename = "rabbitmq-blocked")]
    RabbitMqBlocked,
    /// Outbox entries are acknowledged but not deleted, so that no relay reads them again
    OutboxTorn,
    /// One instance is killed and started again with a clock that is ten minutes ahead
    ClockSkewed,
    /// RabbitMQ and Redis are killed. Redis is started again at once, RabbitMQ five seconds later
    #[value(name = "redis-and-rabbitmq-killed")]
    #[serde(rename = "redis-and-rabbitmq-killed")]
    RedisRabbitKilled,
    /// RabbitMQ and PostgreSQL are killed, and started again one after the other, PostgreSQL first
    #[value(name = "postgres-and-rabbitmq-killed")]
    #[serde(rename = "postgres-and-rabbitmq-killed")]
    PostgresRabbitKilled,
    /// An instance is killed (kill -9) in the middle of a payment and started again. The rounds take turns: before or after the
    /// card is authorised or charged
    PaymentKilled,
    /// The payment provider does not answer for five seconds
    ProviderSilent,
    /// The bank decides later whether it accepts a card, and the payment provider reports that late
    ProviderLate,
}

impl Fault {
    /// Whether reservations can be lost that no other server has, so that a `queued` order may fail. A killed Redis loses none,
    /// because the operating system still has what it wrote.
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

    /// Whether its buyers pay, cancel or let their orders expire.
    fn is_about_money(self) -> bool {
        matches!(self, Fault::PaymentKilled | Fault::ProviderSilent | Fault::ProviderLate)
    }

    /// Whether each instance needs its own proxies to the servers, to silence connections or to hold a request.
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

    /// Whether the fault can be injected with this plan on this machine.
    ///
    /// # Errors
    /// The plan has too few instances, or `faketime` is missing. The message says what to do.
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
    /// The name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_one_name_in_files_and_on_the_command_line() {
        for fault in Fault::value_variants() {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.to_string());
        }
    }

    #[test]
    fn a_fault_of_an_instance_needs_another_instance() {
        let plan = |instances| Plan { instances, ..Plan::stampede(crate::version::Version::V6, None) };
        let why = Fault::WorkerStopped.check(&plan(1)).unwrap_err().to_string();
        assert!(why.starts_with("worker-stopped takes one instance away") && why.ends_with("--instances 2 or more"));
        Fault::WorkerStopped.check(&plan(2)).unwrap();
        Fault::InstanceKilled.check(&plan(1)).unwrap();
    }
}
