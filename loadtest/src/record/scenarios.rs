//! The figures that only some scenarios have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::calibration::Calibration;
use crate::{
    buyer::arrivals::Arrivals,
    verdict::{audit::Audit, latency::Latency},
};

/// Buyers of another sale, first alone, then beside the stampede.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Bystander {
    /// Milliseconds from wanting to knowing, alone.
    pub alone: Option<Latency>,
    /// The same beside the stampede.
    pub beside: Option<Latency>,
    /// How those alone came.
    #[serde(default)]
    pub arrivals_alone: Arrivals,
    /// How those beside the stampede came.
    #[serde(default)]
    pub arrivals_beside: Arrivals,
    /// By what the p99 grew.
    pub p99_ratio: Option<f64>,
    /// What they were told beside the stampede.
    pub outcomes: BTreeMap<String, u64>,
    /// The most database connections that waited for a lock at once (PostgreSQL).
    pub lock_waiters: Option<i64>,
    /// What they and the database say when laid side by side.
    pub audit: Audit,
}

/// Honest buyers of the sale that is attacked, or of one like it in the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HonestBuyers {
    /// How many asked for a unit.
    pub asked: usize,
    /// How many were told that they have one.
    pub served: usize,
    /// How many waited longer for their answer than an honest buyer does: ten seconds.
    pub late: usize,
}

/// A flood from a few clients, and honest buyers in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flood {
    /// Purchases a second that the shop of chapter 3 answers with so small a pool.
    pub capacity_per_second: f64,
    /// The rounds in which that was measured.
    #[serde(default)]
    pub calibration: Calibration,
    /// Purchases a second that the flood asked for.
    pub offered_per_second: f64,
    /// Of those, how many found a connection in the whole flood.
    pub sent: usize,
    /// How the attackers came.
    #[serde(default)]
    pub attackers: Arrivals,
    /// Honest buyers, those without a connection included.
    pub honest: usize,
    /// How the honest buyers came.
    #[serde(default)]
    pub visitors: Arrivals,
    /// Honest buyers who had bought or were truly told sold out within 500 ms.
    pub decided_in_time: usize,
    /// Of all honest buyers, whatever they were told.
    pub latency: Option<Latency>,
}
