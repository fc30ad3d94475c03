//! A run for tests. A run of `docs/results` changes when it is measured again.

use super::{Bystander, Latencies, Run};
use crate::{
    buyer::{arrivals::Arrivals, schedule::Load},
    lab::database::Database,
    scenario::Scenario,
    verdict::{Verdict, audit::Audit, promise::Promise},
    version::Version,
};

/// A stampede on chapter 2's shop: 100 buyers got all 100 units.
pub(crate) fn run() -> Run {
    Run {
        version: Version::V2,
        variant: None,
        without: Vec::new(),
        scenario: Scenario::Stampede,
        url: None,
        load: Load::Closed,
        database: Some(Database::Postgres),
        instances: 1,
        buyers: 100,
        stock: 100,
        sales: 1,
        connections: 100,
        pool: Some(16),
        shop_args: Vec::new(),
        seed: 1,
        audit: Audit { orders: 100, sold: 100, ..Audit::default() },
        outcomes: [("bought".to_owned(), 100)].into(),
        requests: 100,
        seconds: 1.0,
        requests_per_second: 100.0,
        latency_ms: Latencies { bought: None, refused: None },
        times_ms: None,
        outcome_ms: [].into(),
        open_loop: None,
        timeline: Vec::new(),
        oversold_after_ms: None,
        statements_per_order: None,
        reservations: None,
        nginx: None,
        counters: [].into(),
        bystander: None,
        honest: None,
        flood: None,
        measure: None,
        generator_share: 0.05,
        usage: None,
        promised: Promise::Holds,
        verdict: Verdict::AsPromised,
        thresholds: Vec::new(),
    }
}

/// The buyers of another sale beside a stampede.
pub(crate) fn bystander(beside: Arrivals) -> Bystander {
    Bystander {
        alone: None,
        beside: None,
        arrivals_alone: Arrivals::default(),
        arrivals_beside: beside,
        p99_ratio: None,
        outcomes: [].into(),
        lock_waiters: None,
        audit: Audit::default(),
    }
}
