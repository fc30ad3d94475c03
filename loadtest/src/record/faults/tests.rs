use super::{Verdict::*, *};
use crate::fault::Fault;

const STOCK: i64 = 100;

/// A strike that was in place after this number of sold units, and recovered in this time.
fn strike(sold: usize, confirmed_ms: Option<f64>) -> Strike {
    Strike { in_place_ms: Some(5.0), sold, mended_ms: Some(9.0), confirmed_ms, ..Strike::default() }
}

fn sold_out() -> Audit {
    Audit { orders: STOCK, sold: STOCK, ..Audit::default() }
}

fn round(strike: Strike) -> Round {
    let verdict = strike.judge(Fault::RedisKilled, STOCK, &sold_out());
    let (audit, outcomes) = (sold_out(), BTreeMap::new());
    Round {
        stock: STOCK,
        buyers: 200,
        instances: 2,
        seed: 1,
        verdict,
        strike,
        audit,
        money: None,
        worse_answers: None,
        outcomes,
    }
}

fn rounds(strikes: &[Strike]) -> Rounds {
    Rounds { fault: Fault::RedisKilled.into(), rounds: strikes.iter().cloned().map(round).collect() }
}

const LATE: usize = 51;

#[test]
fn struck_means_in_place_with_half_of_the_stock_unsold() {
    assert_eq!(round(strike(50, Some(1.0))).verdict, Clean);
    assert_eq!(round(strike(LATE, Some(1.0))).verdict, Invalid);
    let nothing_done = Strike { in_place_ms: None, confirmed_ms: None, ..strike(0, None) };
    assert_eq!(round(nothing_done.clone()).verdict, Invalid);
    assert_eq!(round(nothing_done).why_invalid().unwrap(), "the fault was not in place");
    let why = round(strike(LATE, None)).why_invalid();
    assert_eq!(why.unwrap(), "51 of 100 units were sold when the fault was in place");
    assert_eq!(round(strike(50, None)).verdict, Broken, "the shop never sold again");
}

#[test]
fn a_broken_promise_counts_in_a_round_that_is_invalid_too() {
    let broken = [
        Audit { oversold: 1, ..sold_out() },
        Audit { undersold: 1, ..sold_out() },
        Audit { double_bought: 1, ..sold_out() },
        Audit { lost_promises: 1, ..sold_out() },
        Audit { phantom_orders: 1, ..sold_out() },
        Audit { not_conserved: 1, ..sold_out() },
        Audit { unfinished: 1, ..sold_out() },
        Audit { late_rejects: 1, ..sold_out() },
    ];
    for audit in broken {
        for strike in [strike(50, Some(1.0)), strike(LATE, Some(1.0)), Strike::default()] {
            assert_eq!(strike.judge(Fault::PostgresKilled, STOCK, &audit), Broken, "{strike:?} {audit:?}");
        }
    }
}

#[test]
fn only_a_fault_that_loses_reservations_may_reject_late() {
    let late = Audit { late_rejects: 1, unknown: 1, ..sold_out() };
    use clap::ValueEnum;
    for &fault in Fault::value_variants() {
        use Fault::{LeaderLost, LeaderStopped, RedisCut, RedisEmptied, RedisFailback, RedisFlushed};
        let lose = [RedisFlushed, RedisEmptied, RedisCut, RedisFailback, LeaderLost, LeaderStopped];
        let expected = if lose.contains(&fault) { Clean } else { Broken };
        assert_eq!(strike(50, Some(1.0)).judge(fault, STOCK, &late), expected, "{fault}");
    }
}

#[test]
fn never_is_later_than_any_time_and_rounds_that_show_nothing_have_none() {
    let times = |strikes: &[Strike]| rounds(strikes).times(|strike| strike.confirmed_ms);
    let after = |ms| strike(50, ms);
    assert_eq!(times(&[after(Some(3.0)), after(None), after(Some(1.0))]), [Some(3.0), None]);
    assert_eq!(times(&[after(Some(4.0)), after(Some(2.0)), strike(LATE, Some(9.0))]), [Some(3.0), Some(4.0)]);
    assert_eq!(times(&[after(None)]), [None, None]);
}

#[test]
fn an_invalid_round_is_played_again_three_times_and_then_the_fault_is_invalid() {
    let (good, late) = (strike(50, Some(1.0)), strike(LATE, Some(1.0)));
    let mut played = rounds(&[]);
    for next in [(0, 0), (0, 1), (0, 2), (0, 3)] {
        assert_eq!(played.next(2), Some(next));
        played.rounds.push(round(late.clone()));
    }
    assert_eq!((played.next(2), played.verdict()), (None, Invalid));

    // A valid repeat replaces the round, and the next round has its own repeats.
    played.rounds.pop();
    played.rounds.push(round(good.clone()));
    assert_eq!((played.next(2), played.verdict()), (Some((1, 0)), Clean));
    played.rounds.push(round(late));
    assert_eq!((played.next(2), played.verdict()), (Some((1, 1)), Clean));
    played.rounds.push(round(good));
    assert_eq!((played.next(2), played.next(3)), (None, Some((2, 0))));
}

#[test]
fn a_broken_round_is_worse_than_an_invalid_fault_and_nothing_played_is_not_clean() {
    let (good, broken) = (rounds(&[strike(50, Some(1.0))]), rounds(&[strike(50, None)]));
    let invalid = rounds(&vec![strike(LATE, None); 1 + REPEATS]);
    let verdict = |faults: &[&Rounds]| worst(faults.iter().map(|rounds| rounds.verdict()));
    assert_eq!(verdict(&[&good]), Clean);
    assert_eq!(verdict(&[&good, &invalid]), Invalid);
    assert_eq!(verdict(&[&good, &invalid, &broken]), Broken);
    assert_eq!((verdict(&[]), rounds(&[]).verdict()), (Invalid, Invalid));
}

#[test]
fn a_round_of_a_file_of_schema_1_has_no_proof_that_it_was_struck() {
    let old = r#"{"stock": 10, "buyers": 20, "instances": 2, "seed": 1, "sold_when_struck": 3, "orders": 10,
        "sold": 10, "oversold": 0, "undersold": 0, "double_bought": 0, "lost_promises": 0, "phantom_orders": 0,
        "unknown": 0, "not_conserved": 0, "outcomes": {}, "recovered_ms": 7.0}"#;
    let old: Round = serde_json::from_str(old).unwrap();
    assert_eq!((old.verdict, old.is_struck()), (Invalid, false));
}
