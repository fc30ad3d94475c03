use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    buyer::{
        arrivals::Arrivals,
        schedule::{Pattern, Schedule},
    },
    record::{OpenLoop, Reservations, Sessions, Usage, example},
    verdict::latency::Latency,
};

/// A run of 1,000 buyers in ten seconds in which nothing gave way.
fn run() -> Run {
    let mut run = example::run();
    run.load = Load::Open(Schedule::constant(100.0, Duration::from_secs(10), Pattern::Constant).unwrap());
    (run.buyers, run.pool, run.instances, run.seconds) = (1000, Some(16), 1, 10.0);
    run.outcomes = BTreeMap::from([("bought".into(), 1000)]);
    (run.audit.orders, run.audit.sold, run.audit.oversold) = (1000, 1000, 0);
    run.usage = Some(Usage {
        processor_seconds: BTreeMap::from([(Consumer::Shop, 9.0), (Consumer::Generator, 6.0)]),
        of_seconds: 20.0,
        sessions: Some(Sessions { waiting: 0.5, busy: 3.0 }),
        redis_commands: None,
    });
    run.open_loop = Some(OpenLoop {
        offered_per_second: 100.0,
        reached_per_second: 100.0,
        arrivals: Arrivals { planned: 1000, dropped: 0, late: 0 },
        late_answers: 0,
        lag: None,
    });
    run
}

#[test]
fn where_nothing_is_used_up_nothing_gives_way() {
    assert_eq!(Bottleneck::of(&run()), []);
    let unknown = Run { usage: None, ..run() };
    assert_eq!(Bottleneck::of(&unknown), []);
}

#[test]
fn each_bottleneck_is_named_by_its_own_figure() {
    type Change = fn(&mut Run);
    let says = |change: Change| {
        let mut run = run();
        change(&mut run);
        let found: Vec<_> = Bottleneck::of(&run).iter().map(ToString::to_string).collect();
        found.join("; ")
    };
    fn usage(run: &mut Run) -> &mut Usage {
        run.usage.as_mut().unwrap()
    }
    let cases: [(Change, &str); 10] = [
        (|run| run.audit.sold = 90, "lost updates: 91 % of the orders took no unit"),
        (|run| run.outcomes.extend([("rate-limited".into(), 20)]), "rate limit: 2 % refused"),
        (|run| run.outcomes.extend([("overloaded".into(), 300)]), "full queue: 30 % refused"),
        (
            |run| usage(run).sessions = Some(Sessions { waiting: 13.25, busy: 14.0 }),
            "lock waits: 13.2 sessions on average",
        ),
        (|run| run.counters.extend([("conflicts".into(), 2500)]), "retries: 2.5 per order"),
        (|run| usage(run).sessions = Some(Sessions { waiting: 0.0, busy: 15.5 }), "connection pool: 15.5 of 16 in use"),
        (|run| run.reservations = Some(confirmed_after(11_234)), "queue: the last order 1,234 ms after the load"),
        (|run| usage(run).processor_seconds.extend([(Consumer::Shop, 13.0)]), "processor: 95 % in use, 65 % by shop"),
        (
            |run| run.open_loop.as_mut().unwrap().arrivals = Arrivals { planned: 1000, dropped: 10, late: 15 },
            "generator: 1.5 % of the buyers sent late",
        ),
        (
            |run| run.open_loop.as_mut().unwrap().arrivals = Arrivals { planned: 1000, dropped: 20, late: 5 },
            "connections: 2 % of the buyers found none",
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(says(change), expected);
    }
    assert_eq!(says(|run| run.reservations = Some(confirmed_after(10_900))), "", "a second is no backlog");
}

fn confirmed_after(ms: i64) -> Reservations {
    let to_confirmed_ms = Latency::of_samples([Duration::from_millis(5)]).unwrap();
    Reservations { to_confirmed_ms, last_commit_ms: Some(ms) }
}
