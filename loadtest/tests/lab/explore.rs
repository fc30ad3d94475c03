//! All interleavings on a real PostgreSQL: which of them break a version, and that each has the same result every time.
//!
//! The figures do not depend on time, so they are exact.

use std::time::Duration;

use crate::support::lab;
use loadtest::{
    interleave::{
        explain::explain,
        play::{Played, Scene},
        queue::OutOfTurn,
        replay::{self, replay},
        scheduler::{Scheduler, Subject},
        search::{again, search},
        settle::Place,
        step::{Event, Mark},
        wire::Hold,
    },
    lab::Lab,
    record::interleavings::{Explored, OrderOfEvents},
    verdict::Verdict,
    version::{
        Variant,
        Version::{self, V1, V2, V3},
    },
};
use tokio::time::sleep;

pub(crate) const LOST_UPDATE: &str = "A select · B select · A update · B update · A insert · B insert";

fn subject(version: Version, variant: Option<Variant>, stock: i64) -> Subject {
    Subject { version, variant, buyers: 2, stock }
}

async fn scheduler(subject: &Subject) -> (Lab, Scheduler) {
    let lab = lab("postgres").await;
    let scheduler = Scheduler::build(&lab, subject).await.unwrap();
    (lab, scheduler)
}

async fn explore(version: Version, variant: Option<Variant>, stock: i64) -> Explored {
    let (lab, scheduler) = scheduler(&subject(version, variant, stock)).await;
    let explored = search(&scheduler, 1000, |_| ()).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    assert_eq!((explored.not_followed, explored.cut_off), (0, 0), "every order, to its end");
    assert_eq!(explored.orders.len(), explored.orders_of_events);
    let different: std::collections::HashSet<_> = explored.orders.iter().map(|order| &order.order).collect();
    assert_eq!(different.len(), explored.orders.len(), "no order twice");
    explored
}

/// The result of the lost update's schedule, and its explanation.
async fn lost_update(version: Version, variant: Option<Variant>) -> (Played, Vec<String>) {
    let (lab, scheduler) = scheduler(&subject(version, variant, 1)).await;
    let schedule = LOST_UPDATE.parse().unwrap();
    let replayed = replay(&scheduler, &schedule, 20, |_| ()).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    assert_eq!((replayed.times, replayed.same), (20, 20), "each time the same: {replayed:?}");
    (replayed.played, replayed.notes)
}

fn told(played: &Played) -> [&str; 2] {
    ["A", "B"].map(|buyer| played.told[buyer].as_str())
}

/// Three statements each. A buyer who reads after the other's update is told sold-out: of 16 interleavings, 2 for each first
/// buyer, before or after the first one's insert. In the other 12, both read before either writes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v1_oversells_in_12_of_16_orders_of_events() {
    let v1 = explore(V1, None, 1).await;
    assert_eq!((v1.orders_of_events, v1.oversell, v1.blocked, v1.conflicts), (16, 12, 0, 0));
    assert_eq!(v1.verdict, Verdict::AsPromised);
    for order in &v1.orders {
        let looks = order.order.iter().rposition(|step| step.ends_with("select")).unwrap();
        let writes = order.order.iter().position(|step| step.ends_with("update")).unwrap();
        assert_eq!(order.oversold == 1, looks < writes, "{order:?}");
    }
    assert_eq!(v1.shortest.as_ref().map(Vec::len), Some(6));
    let shown = v1.shown.unwrap();
    assert_eq!((shown.count(Mark::LostUpdate), shown.count(Mark::StaleRead), told(&shown)), (1, 1, ["bought"; 2]));
}

/// Four statements each. A buyer who reads the row while it is locked waits. For each first buyer there are 3 points while it is
/// locked and 1 after.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v2_oversells_in_no_order_and_waits_in_6_of_8() {
    let v2 = explore(V2, None, 1).await;
    assert_eq!((v2.orders_of_events, v2.oversell, v2.undersell, v2.broken, v2.blocked), (8, 0, 0, 0, 6));
    assert_eq!((v2.verdict.clone(), v2.shortest), (Verdict::AsPromised, None));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn v3_oversells_in_no_order_and_has_conflicts() {
    for stock in [1, 2] {
        let v3 = explore(V3, None, stock).await;
        assert_eq!((v3.oversell, v3.undersell, v3.broken, v3.deadlocks), (0, 0, 0, 0), "{v3:?}");
        // All except the two in which one buyer has committed before the other reads.
        assert_eq!((v3.orders_of_events, v3.conflicts), (24, 22));
        assert!(v3.orders.iter().all(|order| order.told.values().any(|told| told == "bought")));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn every_order_comes_out_the_same_when_it_is_played_again() {
    for (version, variant) in [(V1, None), (V1, Some(Variant::Transaction)), (V2, None), (V3, None)] {
        let (lab, scheduler) = scheduler(&subject(version, variant, 1)).await;
        let explored = search(&scheduler, 1000, |_| ()).await.unwrap();
        assert!(explored.orders_of_events >= 8);
        for order in explored.orders.iter().rev() {
            let played = again(&scheduler, &order.order).await.unwrap();
            assert_eq!(OrderOfEvents::of(&played), *order, "{version}");
        }
        scheduler.close(&lab).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn the_variants_break_as_their_chapters_say() {
    let transaction = explore(V1, Some(Variant::Transaction), 1).await;
    assert!(transaction.oversell > 0 && transaction.blocked > 0, "{transaction:?}");
    let process_lock = explore(V2, Some(Variant::ProcessLock), 1).await;
    assert_eq!((process_lock.orders_of_events, process_lock.oversell), (16, 12), "each has a lock of its own");
    let no_retry = explore(V3, Some(Variant::NoRetry), 2).await;
    assert_eq!(no_retry.oversell, 0);
    assert!(no_retry.undersell > 0 && no_retry.undersell == no_retry.conflicts, "{no_retry:?}");
    for explored in [transaction, process_lock, no_retry] {
        assert_eq!(explored.verdict, Verdict::AsPromised, "{}", explored.title());
        assert!(explored.shortest.is_some());
    }
    for (version, variant) in [(V2, Variant::Serializable), (V3, Variant::Conditional)] {
        let explored = explore(version, Some(variant), 1).await;
        assert_eq!((explored.broken, explored.verdict.clone()), (0, Verdict::AsPromised), "{variant}");
        assert_eq!(explored.conflicts > 0, variant == Variant::Serializable, "nobody has looked, so nothing was stale");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_deadlock_is_seen_and_ends() {
    let explored = explore(V2, Some(Variant::InsertFirst), 1).await;
    assert_eq!((explored.oversell, explored.verdict.clone()), (0, Verdict::AsPromised));
    let both_insert_first = |order: &&OrderOfEvents| order.order[..2].iter().all(|step| step.ends_with("insert"));
    for order in &explored.orders {
        assert_eq!(order.deadlocks, usize::from(both_insert_first(&order)), "{order:?}");
        // The statement that closes the cycle counts as waiting too.
        assert!(order.deadlocks == 0 || order.blocked == 2, "{order:?}");
    }
    assert!(explored.deadlocks > 0);
    let shown = explored.shown.unwrap();
    let ended = shown.steps.iter().find(|step| step.mark == Some(Mark::Deadlock)).unwrap();
    assert_eq!((ended.error.as_deref(), ended.told.as_deref()), (Some("40P01"), Some("conflict")));
}

/// B closes the cycle when A's `deadlock_timeout` of one second is over, so PostgreSQL ends B's statement.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_deadlock_that_ends_the_wrong_statement_is_no_play() {
    let (lab, scheduler) = scheduler(&subject(V2, Some(Variant::InsertFirst), 1)).await;
    let mut why = None;
    let last_of_deadlock = |why: &anyhow::Error| matches!(why.downcast_ref(), Some(OutOfTurn::LastOfDeadlock));
    // On a busy machine A's statement may be ended later than after a second.
    for seconds in [2, 4, 8, 16] {
        let slowly = async |scene: Scene<'_>| {
            let step = scene.footprints.len();
            if step == 3 {
                sleep(Duration::from_secs(seconds)).await; // the scenario: a reader who thinks
            }
            Ok([0, 1, 0, 1, 1, 1][step])
        };
        why = scheduler.play(Hold::All, slowly).await.err();
        if why.as_ref().is_some_and(last_of_deadlock) {
            break;
        }
    }
    assert!(why.as_ref().is_some_and(last_of_deadlock), "{why:?}");
    let order = ["A insert", "B insert", "A select", "B select", "B update", "B commit"].map(str::to_owned);
    let told = again(&scheduler, &order).await.unwrap().told;
    assert_eq!((&*told["A"], &*told["B"]), ("conflict", "bought"));
    scheduler.close(&lab).await.unwrap();
}

/// In a deadlock of three, PostgreSQL always ends the statement that closed the cycle, and another one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_deadlock_of_three_buyers_is_a_play() {
    let (lab, scheduler) = scheduler(&Subject { buyers: 3, ..subject(V2, Some(Variant::InsertFirst), 1) }).await;
    let is_held = |place: &Place| matches!(place, Place::Held(_));
    let closes = async |scene: Scene<'_>| {
        let order = [0, 1, 2, 2, 1, 0].get(scene.footprints.len()).copied();
        Ok(order.or_else(|| scene.places.iter().position(is_held)).unwrap())
    };
    let played = scheduler.play(Hold::All, closes).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    assert_eq!((played.count(Mark::Deadlock), played.audit.orders), (2, 1), "{played:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn three_buyers_of_two_units_are_bounded() {
    let (lab, scheduler) = scheduler(&Subject { buyers: 3, ..subject(V1, None, 2) }).await;
    let explored = search(&scheduler, 40, |_| ()).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    assert_eq!(explored.orders_of_events, 40);
    assert!(explored.not_followed > 0 && explored.oversell > 0, "{explored:?}");
    assert!(explored.says().contains("branches not followed"), "{}", explored.says());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn the_lost_update_is_lost_in_v1_waits_in_v2_and_conflicts_in_v3() {
    let (v1, said) = lost_update(V1, None).await;
    assert_eq!((v1.order.join(" · ").as_str(), v1.audit.oversold, told(&v1)), (LOST_UPDATE, 1, ["bought"; 2]));
    let marks: Vec<_> = v1.steps.iter().map(|step| step.mark).collect();
    assert_eq!(marks, [None, Some(Mark::StaleRead), None, Some(Mark::LostUpdate), None, None]);
    let rows: Vec<_> = v1.steps.iter().map(|step| (step.row.sold, step.row.orders)).collect();
    assert_eq!(rows, [(0, 0), (0, 0), (1, 0), (1, 0), (1, 1), (1, 2)]);
    assert_eq!(said, ["B's update is a lost update: it had read sold 0, the row says 1, and it writes over it."]);

    let (v2, said) = lost_update(V2, None).await;
    assert_eq!((v2.audit.oversold, told(&v2)), (0, ["bought", "sold-out"]));
    assert_eq!(v2.steps[1].event, Event::Waits);
    assert_eq!(v2.steps.last().map(|step| (step.event, step.read)), Some((Event::GoesOn, Some(1))));
    let expected = [
        "B's select for update waits: A has the row locked.",
        "B's select for update goes on, and reads what was left: sold 1.",
        "`B update` cannot be: B still waits at select for A.",
        "`B insert` cannot be: B has been told sold-out.",
    ];
    assert_eq!(said, expected);

    let (v3, said) = lost_update(V3, None).await;
    assert_eq!((v3.audit.oversold, v3.count(Mark::Conflict), told(&v3)), (0, 1, ["bought", "sold-out"]));
    assert!(said.contains(&"B's update changes no row: version 0 is gone. A conflict.".to_owned()), "{said:?}");
    assert!(said.contains(&"`B insert` cannot be: B is at select now.".to_owned()), "{said:?}");

    let (deadlock, _) = lost_update_inserting_first().await;
    assert_eq!(deadlock.count(Mark::Deadlock), 1);
    let said = explain(&deadlock.steps);
    assert!(said.iter().any(|line| line.ends_with("each waited for the other. A deadlock.")), "{said:?}");
}

async fn lost_update_inserting_first() -> (Played, Vec<String>) {
    let (lab, scheduler) = scheduler(&subject(V2, Some(Variant::InsertFirst), 1)).await;
    let once = replay::once(&scheduler, &"A insert · B insert · A select · B select".parse().unwrap()).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    once
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_schedule_of_another_version_that_nothing_explains_is_refused() {
    let (lab, scheduler) = scheduler(&subject(V1, None, 1)).await;
    for (text, why) in [
        ("A update · A select", "turn 1 of the schedule is `A update`, but A is at select"),
        ("A select · B select · A update", "ends too early: it leaves A at insert, B at update"),
        ("A select", "ends too early: it leaves A at update"),
        ("A select · A update · A insert · A insert · B select", "`A insert`, but A has bought: it never ends"),
        ("A select · B select · A update · B update · A insert · B insert · B insert", "all is over: it never ends"),
        ("A select · A commit · B select", "turn 2 of the schedule is `A commit`, but A is at update"),
    ] {
        let refused = replay::once(&scheduler, &text.parse().unwrap()).await.unwrap_err().to_string();
        assert!(refused.contains(why), "{text}: {refused}");
        // The scheduler still works afterwards.
        let (played, _) = replay::once(&scheduler, &LOST_UPDATE.parse().unwrap()).await.unwrap();
        assert_eq!(played.audit.oversold, 1);
    }
    scheduler.close(&lab).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn what_is_held_has_not_reached_the_database() {
    let (lab, scheduler) = scheduler(&subject(V1, None, 1)).await;
    let mut seen = Vec::new();
    let first_held = |scene: &Scene| scene.places.iter().position(|place| matches!(place, Place::Held(_))).unwrap();
    let watch = async |scene: Scene<'_>| {
        let held = scene.places.iter().filter(|place| matches!(place, Place::Held(_))).count();
        let row = scheduler.row().await?;
        seen.push((held, row.sold, row.orders));
        Ok(first_held(&scene))
    };
    scheduler.play(Hold::All, watch).await.unwrap();
    assert_eq!(seen, [(2, 0, 0), (2, 0, 0), (2, 1, 0), (1, 1, 1)], "A alone, then B");
    scheduler.close(&lab).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_connection_that_is_lost_in_the_middle_is_said() {
    let (lab, scheduler) = scheduler(&subject(V1, None, 1)).await;
    let admin = lab.admin().unwrap();
    let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1 and pid = $2";
    let cut = async |scene: Scene<'_>| {
        if scene.steps.len() == 2 {
            let pid = scheduler.pids()[1].unwrap();
            sqlx::query(terminate).bind(scheduler.database()).bind(pid).execute(admin).await?;
        }
        Ok(scene.steps.len() % 2)
    };
    let lost = scheduler.play(Hold::All, cut).await.unwrap_err().to_string();
    assert_eq!(lost, "buyer B has lost the connection to the database in the middle");
    // The shop reconnects, and the next interleaving is played.
    let (played, _) = replay::once(&scheduler, &LOST_UPDATE.parse().unwrap()).await.unwrap();
    assert_eq!(played.audit.oversold, 1);
    scheduler.close(&lab).await.unwrap();
}
