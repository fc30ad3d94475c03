//! What may die under chapter 6 in the middle of a sale, and what the sale is worth afterwards.
//!
//! To follow one fault, read `round` and from there `strike` (what is done), `probe` (when can one buy again?) and
//! `figures` (what came of it).

/// What came of the rounds.
pub mod figures;
/// A network that can fail.
pub mod network;
/// When one can buy again.
mod probe;
/// One sale, and one fault in the middle of it.
mod round;
/// What is done, and undone.
mod strike;
/// The table of faults.
pub mod table;

use std::fmt;

use clap::ValueEnum;

pub use round::round;

/// What is done to a server or to an instance while the crowd buys. All come back at their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
    RabbitMqKilled,
    /// PostgreSQL is killed (kill -9) and started again with its data
    PostgresKilled,
    /// One instance of the shop is killed (kill -9) and started again
    InstanceKilled,
    /// One instance of the shop is told to stop (SIGTERM) and started again
    InstanceStopped,
}

impl fmt::Display for Fault {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
