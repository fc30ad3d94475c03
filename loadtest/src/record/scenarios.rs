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
    /// The latency of bystanders alone, in milliseconds.
    pub alone: Option<Latency>,
    /// The latency of bystanders beside the stampede, in milliseconds.
    pub beside: Option<Latency>,
    /// The arrivals of bystanders alone.
    #[serde(default)]
    pub arrivals_alone: Arrivals,
    /// The arrivals of bystanders beside the stampede.
    #[serde(default)]
    pub arrivals_beside: Arrivals,
    /// The factor by which the p99 grew.
    pub p99_ratio: Option<f64>,
    /// The number of bystanders beside the stampede by answer.
    pub outcomes: BTreeMap<String, u64>,
    /// The most database connections that waited for a lock at once (PostgreSQL).
    pub lock_waiters: Option<i64>,
    /// The audit of the bystanders' sale.
    pub audit: Audit,
}

/// Honest buyers of the sale that is attacked, or of one like it in the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HonestBuyers {
    /// How many asked for a unit.
    pub asked: usize,
    /// How many got a unit.
    pub served: usize,
    /// How many waited more than ten seconds for their answer.
    pub late: usize,
}

/// A flood from a few clients, and honest buyers in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flood {
    /// The purchases per second of chapter 3's shop with one database connection.
    pub capacity_per_second: f64,
    /// The rounds in which the capacity was measured.
    #[serde(default)]
    pub calibration: Calibration,
    /// The purchases per second that the flood offered.
    pub offered_per_second: f64,
    /// The number of the flood's purchases that found a connection.
    pub sent: usize,
    /// The arrivals of the attackers.
    #[serde(default)]
    pub attackers: Arrivals,
    /// Honest buyers, those without a connection included.
    pub honest: usize,
    /// The arrivals of the honest buyers.
    #[serde(default)]
    pub visitors: Arrivals,
    /// Honest buyers who had bought or were truly told sold out within 500 ms.
    pub decided_in_time: usize,
    /// The latency of all honest buyers, whatever their answer.
    pub latency: Option<Latency>,
}
