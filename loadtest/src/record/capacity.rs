//! The greatest rate that a version can serve, and what gives way above it.

use serde::{Deserialize, Serialize};

use super::{
    file::{Figures, File, Kind},
    usage::Consumer,
};
use crate::{
    lab::database::Database,
    verdict::bottleneck::Bottleneck,
    version::{Variant, Version, title},
};

/// A file of capacities.
pub type Capacities = File<Found>;

/// The capacities of several versions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Found {
    /// The seed of the first round.
    pub seed: u64,
    /// When a rate counts as served.
    pub limits: Limits,
    /// One for each version and round.
    pub capacities: Vec<Capacity>,
}

impl Figures for Found {
    const KIND: Kind = Kind::Capacities;
}

/// When a rate counts as served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// The greatest p99 of all answers, in milliseconds from when a buyer was due.
    pub p99_ms: f64,
    /// The greatest share of buyers without a unit, from 0 to 1. There are units for all.
    pub errors: f64,
    /// The least share of the offered rate at which orders are made, from 0 to 1.
    pub reached: f64,
}

/// The capacity of one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capacity {
    /// The version.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// The database.
    pub database: Option<Database>,
    /// Instances of the shop.
    pub instances: usize,
    /// The greatest rate that was served, in buyers per second; 0 if none was.
    pub per_second: f64,
    /// Whether the user ended the search. The rates are then only what was found by then.
    pub was_ended: bool,
    /// The least rate above it that was not served; `None` if all were.
    pub gives_way_at: Option<f64>,
    /// What gave way at the least rate whose failure shows it.
    pub gave_way: Vec<Bottleneck>,
    /// What an order costs at the greatest rate that was served.
    pub cost: Option<Cost>,
    /// All trials, in the order in which they were played.
    pub trials: Vec<Trial>,
}

/// One rate, played once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Buyers per second.
    pub offered: f64,
    /// Orders per second for which a unit was taken, from the first click to the last answer.
    pub useful: f64,
    /// The p99 of all answers, in milliseconds; `None` without an answer.
    pub p99_ms: Option<f64>,
    /// The share of the processors that other programs took, from 0 to 1; `None` without `/proc`.
    pub others: Option<f64>,
    /// Why the rate does not count as served; empty if it does.
    pub why: Vec<String>,
    /// What was used up.
    pub bottlenecks: Vec<Bottleneck>,
    /// What an order cost; `None` without orders.
    pub cost: Option<Cost>,
}

/// What one order costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Processor time of the shop and of the servers that the lab has started, in microseconds.
    pub processor_us: Option<f64>,
    /// SQL statements.
    pub statements: Option<f64>,
    /// Time in which sessions waited for locks, in milliseconds.
    pub lock_wait_ms: Option<f64>,
    /// Compare-and-swaps that lost.
    pub retries: f64,
    /// Redis commands, those in scripts included.
    pub redis_commands: Option<f64>,
    /// RabbitMQ messages.
    pub messages: f64,
}

impl Capacity {
    /// `v2-pessimistic process-lock ×2`.
    pub fn title(&self) -> String {
        let instances = if self.instances > 1 { format!(" ×{}", self.instances) } else { String::new() };
        format!("{}{instances}", title(self.version, self.variant))
    }
}

impl Trial {
    /// Whether the rate was served.
    pub fn is_served(&self) -> bool {
        self.why.is_empty()
    }
}

/// The consumers whose processor time is the cost of an order.
pub const SERVERS: [Consumer; 4] = [Consumer::Shop, Consumer::Postgres, Consumer::Redis, Consumer::RabbitMq];
