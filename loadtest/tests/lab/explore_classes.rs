//! Equivalence classes: one interleaving of each class has the outcomes of all interleavings, and the counts that follow from the
//! classes are those of the interleavings that were played.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use crate::support::lab;
use loadtest::{
    interleave::{
        gauge::{Gauge, Tree, Trees},
        scheduler::{Scheduler, Subject},
        search::{classes, search},
    },
    record::interleavings::{Explorations, Explored, OrderOfEvents},
    version::{
        Variant::{self, Conditional, InsertFirst, NoRetry, ProcessLock, Serializable, Transaction},
        Version::{self, V1, V2, V3},
    },
};

fn subject(version: Version, variant: Option<Variant>, buyers: usize, stock: i64) -> Subject {
    Subject { version, variant, buyers, stock }
}

/// All interleavings, and one of each class.
async fn both(subject: &Subject) -> [Explored; 2] {
    let lab = lab("postgres").await;
    let scheduler = Scheduler::build(&lab, subject).await.unwrap();
    let all = search(&scheduler, 10_000, |_| ()).await.unwrap();
    let by_class = classes(&scheduler, 10_000, |_| ()).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    [all, by_class]
}

async fn by_class(subject: &Subject) -> Explored {
    let lab = lab("postgres").await;
    let scheduler = Scheduler::build(&lab, subject).await.unwrap();
    let explored = classes(&scheduler, 10_000, |_| ()).await.unwrap();
    scheduler.close(&lab).await.unwrap();
    explored
}

/// What comes out of an interleaving: the answers, the audit, the conflicts, the waits and the deadlocks.
type Outcome = (BTreeMap<String, String>, i64, i64, [usize; 3]);

fn outcome(order: &OrderOfEvents) -> Outcome {
    let OrderOfEvents { told, oversold, undersold, conflicts, blocked, deadlocks, .. } = order;
    (told.clone(), *oversold, *undersold, [*conflicts, *blocked, *deadlocks])
}

fn outcomes(explored: &Explored) -> BTreeSet<Outcome> {
    explored.orders.iter().map(outcome).collect()
}

/// The counts of a table's row.
fn counts(explored: &Explored) -> [usize; 8] {
    let Explored { orders_of_events, oversell, undersell, broken, conflicts, blocked, deadlocks, cut_off, .. } =
        explored;
    [*orders_of_events, *oversell, *undersell, *broken, *conflicts, *blocked, *deadlocks, *cut_off]
}

/// The two searches agree: on the outcomes, on all counts, and each interleaving belongs to exactly one class and ends like it.
fn assert_equal(all: &Explored, by_class: &Explored) {
    let title = format!("{}, {} buyers", by_class.title(), by_class.buyers);
    assert_eq!(outcomes(all), outcomes(by_class), "{title}");
    assert_eq!(counts(all), counts(by_class), "{title}");
    assert_eq!(by_class.classes, Some(by_class.orders.len()), "{title}: no class twice");
    for order in &all.orders {
        let own: Vec<_> = by_class.orders.iter().filter(|one| one.class.beginning_with(&order.order) == 1).collect();
        assert_eq!(own.len(), 1, "{title}: {order:?}");
        assert_eq!(outcome(own[0]), outcome(order), "{title}: {order:?} is equivalent to {:?}", own[0].order);
    }
}

/// The interleavings that were played fall into the classes that the reduced search found, each with as many as it counts.
fn assert_same_classes(all: &Explored, by_class: &Explored) {
    let mut played: HashMap<_, u64> = HashMap::new();
    all.orders.iter().for_each(|order| *played.entry(&order.class).or_default() += 1);
    let counted: HashMap<_, u64> = by_class.orders.iter().map(|order| (&order.class, order.interleavings)).collect();
    assert_eq!(played, counted, "{}", all.title());
    assert_eq!(all.classes, by_class.classes, "{}", all.title());
}

/// The gauge at every point is the count of the interleavings that were played and go through it.
fn assert_gauge(all: &Explored, by_class: Explored) {
    let tree = Tree::of(by_class).unwrap();
    let mut counted: BTreeMap<&[String], Gauge> = BTreeMap::new();
    for order in &all.orders {
        for end in 0..=order.order.len() {
            let gauge = counted.entry(&order.order[..end]).or_default();
            let (oversells, undersells, deadlocks) = (order.oversold > 0, order.undersold > 0, order.deadlocks > 0);
            gauge.interleavings += 1;
            gauge.oversell += u64::from(oversells);
            gauge.undersell += u64::from(undersells);
            gauge.deadlock += u64::from(deadlocks);
            gauge.clean += u64::from(!oversells && !undersells && !deadlocks);
        }
    }
    for (steps, gauge) in &counted {
        assert_eq!(tree.gauge(steps), *gauge, "{steps:?}");
        let next = tree.next(steps);
        let sum: u64 = next.values().map(|gauge| gauge.interleavings).sum();
        assert!(next.is_empty() || sum == gauge.interleavings, "{steps:?}: {next:?}");
        assert!(
            next.keys().all(|step| counted.contains_key(&[*steps, std::slice::from_ref(step)].concat()[..])),
            "{next:?}"
        );
    }
    assert_eq!(tree.gauge(&["B commit".to_owned()]), Gauge::default(), "no interleaving begins so");
}

/// Two buyers of every version and variant: number of interleavings, of classes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn two_buyers_have_the_same_outcomes_by_class() {
    for (version, variant, stock, interleavings, of_classes) in [
        (V1, None, 1, 16, 4),
        (V1, Some(Transaction), 1, 24, 6),
        (V2, None, 1, 8, 4),
        (V2, Some(ProcessLock), 1, 16, 4),
        (V2, Some(InsertFirst), 1, 10, 6),
        (V2, Some(Serializable), 1, 24, 14),
        (V3, None, 1, 24, 6),
        (V3, None, 2, 24, 6),
        (V3, Some(NoRetry), 2, 24, 6),
        (V3, Some(Conditional), 1, 6, 4),
    ] {
        let [all, by_class] = both(&subject(version, variant, 2, stock)).await;
        assert_equal(&all, &by_class);
        assert_same_classes(&all, &by_class);
        assert_eq!((all.orders_of_events, all.classes), (interleavings, Some(of_classes)), "{}", all.title());
        assert_gauge(&all, by_class);
    }
}

/// Three buyers, compared with the interleavings of the record, which were all played.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn three_buyers_have_the_recorded_outcomes_by_class() {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results/explore-3-buyers.json");
    let recorded = Explorations::read(&record).unwrap().figures.explored;
    assert_eq!(recorded.len(), 3);
    for (all, of_classes) in recorded.iter().zip([21, 18, 33]) {
        let by_class = by_class(&subject(all.version, all.variant, all.buyers, all.stock)).await;
        assert_equal(all, &by_class);
        assert_eq!(by_class.classes, Some(of_classes), "{}", all.title());
    }
}

/// Two of three buyers wait for the same row, and each of them continues with an order. PostgreSQL gives the row to the second one
/// first in one of fifty interleavings, so they are played several times.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn three_buyers_who_wait_for_one_row_have_the_same_outcomes_by_class() {
    for stock in [1, 3, 3, 3, 3] {
        let [all, by_class] = both(&subject(V3, Some(Conditional), 3, stock)).await;
        assert_equal(&all, &by_class);
        assert_same_classes(&all, &by_class);
        assert_eq!((all.orders_of_events, all.classes), if stock == 1 { (90, Some(18)) } else { (72, Some(30)) });
    }
    // To play all of these takes a minute.
    let by_class = by_class(&subject(V1, Some(Transaction), 3, 1)).await;
    assert_eq!((by_class.orders_of_events, by_class.oversell, by_class.classes), (1686, 1680, Some(57)));
}

/// Four buyers have too many interleavings to play. Their classes are few.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn four_buyers_are_explored_by_class() {
    let explored = by_class(&subject(V2, None, 4, 1)).await;
    assert_eq!((explored.orders.len(), explored.not_followed, explored.broken), (96, 0, 0));
    assert_eq!(explored.orders_of_events, 480);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_tree_is_explored_once() {
    let (lab, trees) = (lab("postgres").await, Trees::default());
    let v1 = subject(V1, None, 2, 1);
    let (one, two) = tokio::join!(trees.tree(&lab, &v1), trees.tree(&lab, &v1));
    let one = one.unwrap();
    assert!(Arc::ptr_eq(&one, &two.unwrap()), "both asked at the same time");
    assert!(Arc::ptr_eq(&one, &trees.tree(&lab, &v1).await.unwrap()));
    let two_units = trees.tree(&lab, &subject(V1, None, 2, 2)).await.unwrap();
    assert_eq!((one.gauge(&[]).oversell, two_units.gauge(&[]).oversell), (12, 0));
    let refused = trees.tree(&lab, &subject(Version::V6, None, 2, 1)).await.unwrap_err().to_string();
    assert!(refused.contains("v6 decides in Redis"), "{refused}");
}
