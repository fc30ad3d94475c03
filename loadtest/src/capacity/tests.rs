use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    buyer::schedule::Pattern,
    record::{Times, example},
    verdict::{Verdict, latency::Distribution},
    version::Version,
};

const LIMITS: Limits = Limits { p99_ms: 500.0, errors: 0.01, reached: 0.9 };

/// The run of a plan in which every buyer got a unit after 5 ms.
fn served(plan: &Plan) -> Run {
    let mut run = example::run();
    (run.buyers, run.stock, run.seconds, run.verdict) = (plan.buyers, plan.stock, 2.0, Verdict::Measured);
    run.outcomes = BTreeMap::from([("bought".into(), plan.buyers as u64)]);
    (run.audit.orders, run.audit.sold, run.audit.oversold) = (plan.buyers as i64, plan.buyers as i64, 0);
    run.times_ms = Some(times(5));
    run
}

fn times(ms: u64) -> Times {
    let of = || Distribution::of_samples([Duration::from_millis(ms)]).unwrap();
    Times { latency: of(), service: of() }
}

/// The capacity of a shop that spoils the runs of more than 1,000 buyers a second.
async fn capacity(spoil: impl Fn(&mut Run)) -> Capacity {
    let schedule = |rate| Schedule::constant(rate, Duration::from_secs(2), Pattern::Constant);
    let play = async |plan: &Plan| {
        assert_eq!(plan.stock, plan.buyers as i64, "a unit for each buyer");
        let mut run = served(plan);
        if plan.buyers > 2000 {
            spoil(&mut run);
        }
        Ok(Some(run))
    };
    let plan = Plan::stampede(Version::V2, None);
    find(&plan, LIMITS, Search::new(250.0, 1e5), schedule, play, |_| ()).await.unwrap()
}

#[tokio::test]
async fn a_rate_fails_for_each_reason() {
    type Spoil = fn(&mut Run);
    let reasons: [(Spoil, &str); 6] = [
        (|run| run.times_ms = Some(times(501)), "p99 501"),
        (
            |run| run.outcomes.extend([("bought".into(), run.buyers as u64 * 98 / 100)]),
            "2 % of the buyers without a unit",
        ),
        (|run| run.seconds = 9.0, " orders a second"),
        (|run| run.audit.oversold = run.audit.orders / 2, " orders a second"),
        (|run| run.audit.sold = run.audit.orders / 2, " orders a second"),
        (|run| run.verdict = Verdict::Invalid("the generator was the bottleneck".into()), "the generator"),
    ];
    for (spoil, why) in reasons {
        let capacity = capacity(spoil).await;
        assert!((900.0..=1000.0).contains(&capacity.per_second), "{why}: {capacity:?}");
        assert!(capacity.gives_way_at.is_some_and(|rate| rate > 1000.0 && rate <= capacity.per_second * 1.1));
        let failed: Vec<_> = capacity.trials.iter().filter(|trial| !trial.is_served()).collect();
        assert!(failed.iter().all(|trial| trial.why.len() == 1 && trial.why[0].contains(why)), "{why}: {failed:?}");
        assert!(failed.len().is_multiple_of(2), "a rate fails twice");
    }
}

#[tokio::test]
async fn a_shop_that_serves_nobody_has_no_capacity() {
    let schedule = |rate| Schedule::constant(rate, Duration::from_secs(2), Pattern::Constant);
    let play = async |plan: &Plan| {
        let mut run = served(plan);
        run.outcomes = BTreeMap::from([("overloaded".into(), plan.buyers as u64)]);
        run.audit.orders = 0;
        Ok(Some(run))
    };
    let plan = Plan::stampede(Version::V2, None);
    let capacity = find(&plan, LIMITS, Search::new(8.0, 1e5), schedule, play, |_| ()).await.unwrap();
    assert_eq!((capacity.per_second, capacity.gives_way_at, capacity.cost), (0.0, Some(1.0), None));
    assert_eq!(capacity.gave_way[0].to_string(), "full queue: 100 % refused");
}

#[tokio::test]
async fn a_search_that_is_ended_keeps_what_it_has_found() {
    let schedule = |rate| Schedule::constant(rate, Duration::from_secs(2), Pattern::Constant);
    let play = async |plan: &Plan| Ok((plan.buyers <= 1000).then(|| served(plan)));
    let plan = Plan::stampede(Version::V2, None);
    let capacity = find(&plan, LIMITS, Search::new(250.0, 1e5), schedule, play, |_| ()).await.unwrap();
    assert!(capacity.was_ended && capacity.gives_way_at.is_none(), "{capacity:?}");
    assert_eq!((capacity.per_second, capacity.trials.len()), (500.0, 2));
}

#[tokio::test]
async fn a_rate_that_was_served_in_the_end_does_not_say_what_gives_way() {
    let schedule = |rate| Schedule::constant(rate, Duration::from_secs(2), Pattern::Constant);
    let mut played = 0;
    let play = async |plan: &Plan| {
        played += 1;
        let mut run = served(plan);
        if played == 1 {
            run.outcomes = BTreeMap::from([("overloaded".into(), plan.buyers as u64)]);
        } else if plan.buyers > 2000 {
            run.outcomes = BTreeMap::from([("rate-limited".into(), plan.buyers as u64)]);
        }
        Ok(Some(run))
    };
    let plan = Plan::stampede(Version::V2, None);
    let capacity = find(&plan, LIMITS, Search::new(250.0, 1e5), schedule, play, |_| ()).await.unwrap();
    assert!(capacity.trials[0].bottlenecks[0].to_string().starts_with("full queue"), "{capacity:?}");
    assert_eq!(capacity.gave_way[0].to_string(), "rate limit: 100 % refused");
}
