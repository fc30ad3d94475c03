//! What gives way first in a shop that gets more buyers than it can serve.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    buyer::{arrivals::Arrivals, schedule::Load},
    record::{Consumer, Run},
    render::text::{percent, thousands},
};

/// The average number of sessions that wait for a lock from which locks are a bottleneck.
const WAITING: f64 = 1.0;
/// The share of buyers who are refused from which a limit or a full queue is a bottleneck.
const REFUSED: f64 = 0.01;
/// The share of buyers who are dropped or late, or of orders without a unit, from which it counts.
const MISSED: f64 = 0.01;
/// The number of lost compare-and-swaps per order from which retries are a bottleneck.
const RETRIES: f64 = 1.0;
/// The share of the database connections, or of the processors, in use from which they are a bottleneck.
const IN_USE: f64 = 0.9;
/// How long the last order may take from the end of the load to its row in SQL, in milliseconds.
const BACKLOG_MS: f64 = 1000.0;

/// Something that was used up, with the measured value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Bottleneck {
    /// Two buyers read the same number and wrote the same number back: their orders took one unit together.
    LostUpdates {
        /// The share of the orders that took no unit, from 0 to 1.
        orders: f64,
    },
    /// The generator sent buyers too late. It shares the machine with the shop.
    Generator {
        /// The share of the buyers, from 0 to 1.
        late: f64,
    },
    /// All connections waited for answers, so buyers found none.
    Connections {
        /// The share of the buyers, from 0 to 1.
        dropped: f64,
    },
    /// A rate limit of the shop refused buyers.
    Limiter {
        /// The share of the buyers, from 0 to 1.
        refused: f64,
    },
    /// A full queue of the shop refused buyers.
    FullQueue {
        /// The share of the buyers, from 0 to 1.
        refused: f64,
    },
    /// Sessions waited for locks.
    Locks {
        /// The average number of sessions.
        waiting: f64,
    },
    /// Compare-and-swaps lost and were repeated.
    Retries {
        /// Lost ones per order.
        per_order: f64,
    },
    /// Nearly all database connections were in use.
    Pool {
        /// The average number in use.
        busy: f64,
        /// All connections of all instances.
        of: u32,
    },
    /// Reservations waited for their row in SQL.
    Backlog {
        /// From the end of the load to the last row, in milliseconds.
        ms: f64,
    },
    /// The processors were in use.
    Processor {
        /// The share in use, from 0 to 1.
        busy: f64,
        /// Who took the most.
        most: Consumer,
        /// The share that it took, from 0 to 1.
        took: f64,
    },
}

impl Bottleneck {
    /// All bottlenecks of a run, as the servers' own statistics show them. The causes stand before the processor, which is busy in
    /// every overload.
    pub fn of(run: &Run) -> Vec<Bottleneck> {
        let buyers = run.buyers.max(1) as f64;
        let refused = |kind| run.told(kind) as f64 / buyers;
        let per_order = |n: u64| n as f64 / run.audit.orders.max(1) as f64;
        let (limited, overloaded) = (refused("rate-limited"), refused("overloaded"));
        let per_order = per_order(run.counters.get("conflicts").copied().unwrap_or_default());
        let (usage, connections) = (run.usage.as_ref(), run.pool.unwrap_or_default() * run.instances as u32);
        let sessions = usage.and_then(|usage| usage.sessions);
        let backlog = run.reservations.as_ref().and_then(|reserved| reserved.last_commit_ms);
        let backlog = backlog.map_or(0.0, |last| last as f64 - load_ms(run));
        let planned = |arrivals: &Arrivals, n: usize| n as f64 / arrivals.planned.max(1) as f64;
        let arrivals = run.open_loop.as_ref().map(|came| &came.arrivals);
        let (late, dropped) =
            arrivals.map_or((0.0, 0.0), |came| (planned(came, came.late), planned(came, came.dropped)));
        let lost = (run.audit.orders - run.audit.sold).max(0) as f64 / run.audit.orders.max(1) as f64;
        let found = [
            (lost > MISSED).then_some(Bottleneck::LostUpdates { orders: lost }),
            (limited > REFUSED).then_some(Bottleneck::Limiter { refused: limited }),
            (overloaded > REFUSED).then_some(Bottleneck::FullQueue { refused: overloaded }),
            sessions.filter(|sessions| sessions.waiting >= WAITING).map(|s| Bottleneck::Locks { waiting: s.waiting }),
            (per_order >= RETRIES).then_some(Bottleneck::Retries { per_order }),
            sessions
                .filter(|sessions| sessions.busy >= IN_USE * f64::from(connections))
                .map(|sessions| Bottleneck::Pool { busy: sessions.busy, of: connections }),
            (backlog > BACKLOG_MS).then_some(Bottleneck::Backlog { ms: backlog }),
            usage.filter(|usage| usage.busy() >= IN_USE).and_then(|usage| {
                let most = usage.greatest()?;
                Some(Bottleneck::Processor { busy: usage.busy(), most, took: usage.share(most) })
            }),
            (dropped > MISSED).then_some(Bottleneck::Connections { dropped }),
            (late > MISSED).then_some(Bottleneck::Generator { late }),
        ];
        found.into_iter().flatten().collect()
    }
}

/// How long buyers came, in milliseconds.
fn load_ms(run: &Run) -> f64 {
    match &run.load {
        Load::Open(schedule) => schedule.lasts().as_secs_f64() * 1e3,
        Load::Closed => run.seconds * 1e3,
    }
}

impl fmt::Display for Bottleneck {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let share = |n: f64| percent(n, 1.0);
        f.pad(&match *self {
            Bottleneck::LostUpdates { orders } => format!("lost updates: {} of the orders took no unit", share(orders)),
            Bottleneck::Connections { dropped } => format!("connections: {} of the buyers found none", share(dropped)),
            Bottleneck::Generator { late } => format!("generator: {} of the buyers sent late", share(late)),
            Bottleneck::Limiter { refused } => format!("rate limit: {} refused", share(refused)),
            Bottleneck::FullQueue { refused } => format!("full queue: {} refused", share(refused)),
            Bottleneck::Locks { waiting } => format!("lock waits: {waiting:.1} sessions on average"),
            Bottleneck::Retries { per_order } => format!("retries: {per_order:.1} per order"),
            Bottleneck::Pool { busy, of } => format!("connection pool: {busy:.1} of {of} in use"),
            Bottleneck::Backlog { ms } => format!("queue: the last order {} ms after the load", thousands(ms as i64)),
            Bottleneck::Processor { busy, most, took } => {
                format!("processor: {} in use, {} by {most}", share(busy), share(took))
            }
        })
    }
}

#[cfg(test)]
mod tests;
