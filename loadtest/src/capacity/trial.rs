//! Judges one rate.

use super::search::Outcome;
use crate::{
    record::{
        Consumer, Run, Usage,
        capacity::{Cost, Limits, SERVERS, Trial},
    },
    render::text::{percent, significant, thousands},
    verdict::bottleneck::Bottleneck,
};

impl Trial {
    /// Judges the run of a rate. Every buyer is to get a unit.
    pub(super) fn of(run: &Run, offered: f64, limits: Limits) -> Trial {
        let useful = useful_orders(run) as f64 / run.seconds;
        let p99_ms = run.times_ms.as_ref().map(|times| times.latency.latency.p99);
        let without = run.buyers as f64 - run.told("bought") as f64;
        let errors = without / run.buyers.max(1) as f64;
        let missed = run.open_loop.as_ref().and_then(|came| came.arrivals.invalid());
        let Limits { p99_ms: slowest, errors: most, reached } = limits;
        let why = [
            p99_ms.is_none().then(|| "no answer".to_owned()),
            p99_ms.filter(|p99| *p99 > slowest).map(|p99| format!("p99 {} ms", significant(p99))),
            (errors > most).then(|| format!("{} of the buyers without a unit", percent(without, run.buyers as f64))),
            (useful < reached * offered).then(|| format!("{} orders a second", thousands(useful as i64))),
            missed.or_else(|| run.verdict.invalid().map(str::to_owned)),
        ];
        Trial {
            offered,
            useful,
            p99_ms,
            others: run.usage.as_ref().map(|usage| usage.share(Consumer::Others)),
            why: why.into_iter().flatten().collect(),
            bottlenecks: Bottleneck::of(run),
            cost: Cost::of(run),
        }
    }
}

/// How the run of a trial went.
pub(super) fn outcome(run: &Run, trial: &Trial) -> Outcome {
    let sent_late = run.open_loop.as_ref().is_some_and(|came| came.arrivals.sent_late());
    match trial.is_served() {
        true => Outcome::Served,
        false if sent_late => Outcome::SentLate,
        false => Outcome::Failed,
    }
}

/// The orders for which a unit was taken: not oversold, and counted in `sold`. An order of a lost update took none.
pub(super) fn useful_orders(run: &Run) -> i64 {
    (run.audit.orders - run.audit.oversold).min(run.audit.sold)
}

impl Cost {
    /// What an order of this run cost; `None` without orders.
    fn of(run: &Run) -> Option<Cost> {
        let orders = run.audit.orders as f64;
        let usage = run.usage.as_ref();
        let counted = |name| run.counters.get(name).copied().unwrap_or_default() as f64 / orders;
        let processor = |usage: &Usage| {
            let seconds = |consumer| usage.processor_seconds.get(consumer).copied().unwrap_or_default();
            SERVERS.iter().map(seconds).sum::<f64>() * 1e6 / orders
        };
        (orders > 0.0).then(|| Cost {
            processor_us: usage.map(processor),
            statements: run.statements_per_order,
            lock_wait_ms: usage
                .and_then(|usage| usage.sessions)
                .map(|sessions| sessions.waiting * run.seconds * 1e3 / orders),
            retries: counted("conflicts"),
            redis_commands: usage.and_then(|usage| usage.redis_commands).map(|commands| commands as f64 / orders),
            messages: counted("published"),
        })
    }
}
