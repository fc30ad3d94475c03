//! Finds the greatest rate that a version can serve, and says what gives way above it.
//!
//! There are units for all buyers, so each of them is to get one: a `sold-out` is cheap and would flatter the version. `search`
//! chooses the rates, and `trial` judges one.

pub mod search;
mod trial;

use crate::{
    buyer::schedule::{Load, Schedule},
    record::{
        Run,
        capacity::{Capacity, Limits, Trial},
    },
    scenario::plan::Plan,
    verdict::bottleneck::Bottleneck,
};

use self::{search::Search, trial::outcome};

/// Plays rates until the capacity is known. `schedule` makes the load of a rate, `play` carries out a plan, and `show` gets each
/// trial. The search ends early if `play` returns `None`.
///
/// # Errors
/// A trial cannot be played.
pub async fn find(
    plan: &Plan,
    limits: Limits,
    mut search: Search,
    schedule: impl Fn(f64) -> anyhow::Result<Schedule>,
    mut play: impl AsyncFnMut(&Plan) -> anyhow::Result<Option<Run>>,
    mut show: impl FnMut(&Trial),
) -> anyhow::Result<Capacity> {
    let (mut trials, mut database, mut was_ended) = (Vec::new(), None, false);
    while let Some(rate) = search.next() {
        let plan = plan.clone().under(Load::Open(schedule(rate)?));
        let Some(run) = play(&Plan { stock: plan.buyers as i64, ..plan }).await? else {
            was_ended = true;
            break;
        };
        database = run.database;
        let trial = Trial::of(&run, rate, limits);
        search.report(outcome(&run, &trial));
        show(&trial);
        trials.push(trial);
    }
    let best = trials.iter().filter(|trial| trial.is_served()).max_by(|a, b| a.offered.total_cmp(&b.offered));
    Ok(Capacity {
        version: plan.version,
        variant: plan.variant,
        database,
        instances: plan.instances,
        per_second: search.served().unwrap_or_default(),
        was_ended,
        gives_way_at: search.failed(),
        gave_way: search.failed().map_or_else(Vec::new, |rate| gave_way(&trials, rate)),
        cost: best.and_then(|trial| trial.cost),
        trials,
    })
}

/// What gave way at the least rate from this one on whose failure shows it.
fn gave_way(trials: &[Trial], rate: f64) -> Vec<Bottleneck> {
    let failed = trials.iter().filter(|trial| trial.offered >= rate && !trial.is_served());
    let shown = failed.filter(|trial| !trial.bottlenecks.is_empty());
    let least = shown.min_by(|a, b| a.offered.total_cmp(&b.offered));
    least.map(|trial| trial.bottlenecks.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
