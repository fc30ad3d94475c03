//! The records of the benchmarks in `loadtest/benches`.

use serde::{Deserialize, Serialize};

use super::file::{Figures, Kind};
use crate::verdict::latency::Latency;

/// The load generator against `wrk`, in turns, both against a handler that does nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Generator {
    /// The seed of the first round. Each further round adds one.
    pub seed: u64,
    /// Connections of either generator.
    pub connections: usize,
    /// The requests of our generator in each round; `wrk` runs for three seconds.
    pub buyers: usize,
    /// The rounds in the order in which they were played.
    pub generator: Vec<Rates>,
}

/// One round of the generators.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Requests per second of `wrk`.
    pub wrk: f64,
    /// Requests per second of our generator.
    pub ours: f64,
}

impl Figures for Generator {
    const KIND: Kind = Kind::Generator;
}

/// Buyers who wait at a WebSocket through nginx, and the message about their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watchers {
    /// Always `None`: all buyers wait before the first order is confirmed, so nothing is random.
    pub seed: Option<u64>,
    /// Buyers who wait in each round.
    pub waiting: usize,
    /// Instances of the shop behind nginx.
    pub instances: usize,
    /// The rounds in the order in which they were played.
    pub watchers: Vec<Waits>,
}

/// One round of the waiting buyers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// Milliseconds from the commit in SQL to the buyer's message.
    pub commit_to_message_ms: Latency,
}

impl Figures for Watchers {
    const KIND: Kind = Kind::Watchers;
}
