//! The ways that keep the decision, or the lock, in the process.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use loadtest::{
    lab::servers::Server::Postgres,
    ways::way::{Gap, Kit, Stock},
};

use super::{Sale, hold, meeting, rounds, services, way};

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_sell_the_whole_stock_twice() {
    let rounds = rounds(&[]);
    hold(&rounds, 1, &["process-counter", "process-counter-divided"]).await;
    hold(&rounds, 2, &["process-counter-divided"]).await;
    for processes in [2, 3] {
        let audit = rounds.sale(way("process-counter"), processes).await.unwrap();
        assert_eq!((audit.told, audit.oversold), (100 * processes, 100 * (processes - 1)), "{audit:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_forgets_what_it_sold_when_its_process_is_killed() {
    let rounds = rounds(&[]);
    for name in ["process-counter", "process-counter-divided"] {
        let audit = rounds.restart(way(name)).await.unwrap();
        assert_eq!((audit.told, audit.lost, audit.oversold), (150, 50, 50), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_stock_is_left_if_all_buyers_come_to_one_process() {
    let stock = Stock { items: 1, units: 5 };
    let kit = Kit { urls: Default::default(), stock, process: 0, processes: 2, gap: Gap::default() };
    let mut sale = Sale::join("process-counter-divided", kit).await;
    let told = sale.play(2, 0, 10).await;
    let audit = sale.audit(&told).await;
    assert_eq!((audit.told, audit.undersold), (3, 2), "of five units, the first of two processes has three");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_mutex_lets_one_client_of_its_process_in() {
    let services = services(&[Postgres]);
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let gap = Gap::stop(move || {
        let (inside, most) = (inside.clone(), most.clone());
        Box::pin(async move {
            most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::task::yield_now().await;
            inside.fetch_sub(1, SeqCst);
        })
    });
    let mut sale = Sale::open("process-mutex", &services, 50, gap).await;
    let told = sale.play(8, 0, 200).await;
    assert!(sale.audit(&told).await.holds());
    assert_eq!(seen.load(SeqCst), 1);
}

/// Both processes have read that nothing is sold before one of them writes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn two_processes_have_two_mutexes_and_oversell() {
    let services = services(&[Postgres]);
    let mut one = Sale::open("process-mutex", &services, 1, meeting(2)).await;
    let mut other = Sale::join("process-mutex", one.kit.clone()).await;
    let (mut told, others) = tokio::join!(one.play(1, 0, 1), other.play(1, 1, 1));
    told.add(others);
    assert_eq!(one.audit(&told).await.oversold, 1);
}
