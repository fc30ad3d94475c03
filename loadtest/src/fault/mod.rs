//! What may break under chapter 6 in the middle of a sale, and what the sale is worth afterwards.
//!
//! To follow one fault, read `round` and from there `strike` (what is done, is it in place, what undoes it), `probe` (who
//! asks meanwhile) and `figures` (what came of it). A new fault is a member of `Fault`; the compiler names the rest.

/// What came of the rounds.
pub mod figures;
/// A network that can fail.
pub mod network;
/// Buyers who ask while something is broken, and afterwards.
mod probe;
/// Whether a grid can go on in a file.
pub mod resume;
/// One sale, and one fault in the middle of it.
mod round;
/// What is done, whether it worked, and what undoes it.
mod strike;
/// The table of faults.
pub mod table;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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
}

impl Fault {
    /// Whether reservations can be lost that no other server knows of, so that `queued` may end in `failed`.
    pub fn loses_reservations(self) -> bool {
        match self {
            Fault::RedisFlushed | Fault::RedisEmptied | Fault::RedisCut => true,
            Fault::RedisKilled
            | Fault::RabbitMqKilled
            | Fault::PostgresKilled
            | Fault::InstanceKilled
            | Fault::InstanceStopped => false,
        }
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
}
