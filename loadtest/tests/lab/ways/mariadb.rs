//! The ways on MariaDB. Its deadlock detection and its counts are the whole server's, so each test has a server of its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use loadtest::{
    lab::servers::{Server::MariaDb, Services},
    ways::{
        self,
        way::{Answer, Gap, Kit, Stock},
    },
};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, mysql::MySqlDatabaseError};
use tokio::{join, time::timeout};

use super::{Sale, held, hold, rounds, services, way};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: make test"]
async fn one_process_and_two_sell_all_units_once_and_a_kill_loses_no_order() {
    let rounds = rounds(&[MariaDb]);
    let all: Vec<_> = ways::all().map(|way| way.name).filter(|name| name.starts_with("mariadb-")).collect();
    assert_eq!(all.len(), 9);
    for processes in [1, 2] {
        hold(&rounds, processes, &all).await;
    }
    for name in ["mariadb-row-lock", "mariadb-conditional", "mariadb-batch"] {
        let audit = rounds.restart(way(name)).await.unwrap();
        assert!(audit.holds() && audit.counted == 100, "{name}: {audit:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: make test"]
async fn a_deadlock_lasts_until_the_lock_wait_timeout_where_detection_is_off() {
    let services = services(&[MariaDb]);
    for base in ["mariadb-row-lock", "mariadb-conditional"] {
        for name in [base.to_owned(), format!("{base}-queued")] {
            let sale = Sale::open(&name, &services, 10, Gap::default()).await;
            assert_eq!(deadlock(&services, 60).await.0, 1213, "{name}");
            drop(sale);
            Sale::open(&format!("{name}-undetected"), &services, 10, Gap::default()).await;
            let (number, took) = deadlock(&services, 1).await;
            assert_eq!(number, 1205, "{name}-undetected");
            assert!(took >= Duration::from_millis(900), "{name}-undetected: {took:?}");
        }
    }
    Sale::open("mariadb-batch", &services, 10, Gap::default()).await;
    assert_eq!(deadlock(&services, 60).await.0, 1213, "the batch");
}

/// Two transactions lock two rows in opposite orders. The error number of the one that is refused, and how long it took. Error 1213
/// is a deadlock. Error 1205 is a lock wait that has lasted for `innodb_lock_wait_timeout`, here `patience` seconds and 50 s by default.
async fn deadlock(services: &Services, patience: u32) -> (u16, Duration) {
    let connect = async || {
        let mut session = MySqlConnection::connect(&format!("{}ways", services.url(MariaDb).unwrap())).await.unwrap();
        let wait = format!("set innodb_lock_wait_timeout = {patience}");
        session.execute(AssertSqlSafe(wait)).await.unwrap();
        session
    };
    let lock = async |session: &mut MySqlConnection, id: i64| {
        sqlx::query("update items set sold = sold where id = ?").bind(id).execute(session).await.map(drop)
    };
    let (mut a, mut b) = (connect().await, connect().await);
    a.execute("insert into items (id, stock) values (101, 0), (102, 0)").await.unwrap();
    a.execute("start transaction").await.unwrap();
    b.execute("start transaction").await.unwrap();
    lock(&mut a, 101).await.unwrap();
    lock(&mut b, 102).await.unwrap();
    let began = Instant::now();
    let (of_a, of_b) = join!(lock(&mut a, 102), lock(&mut b, 101));
    let took = began.elapsed();
    let refused = of_a.err().or(of_b.err()).expect("one of the two is refused");
    (refused.as_database_error().unwrap().downcast_ref::<MySqlDatabaseError>().number(), took)
}

/// 20 buyers of different items ask in two processes, half of them in each. Exactly so many are between check and act at once.
async fn lets_in(services: &Services, name: &str, buyers: u32) {
    let (gap, inside, out) = held();
    let (urls, stock) = ([(MariaDb, services.url(MariaDb).unwrap().clone())], Stock { items: 20, units: 1 });
    let mut sales = Vec::new();
    for process in [0, 1] {
        let kit = Kit { urls: urls.clone().into(), stock, process, processes: 2, gap: gap.clone() };
        sales.push(Sale::join(name, kit).await);
    }
    sales[0].way.set_up().await.unwrap();
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(sales[n % 2].way.clone().connect().await.unwrap());
    }
    let all = join_all((1..).zip(&mut clients).map(|(item, client)| client.take(item, item)));
    let watch = async {
        inside.acquire_many(buyers).await.unwrap().forget();
        assert!(timeout(Duration::from_secs(1), inside.acquire()).await.is_err(), "{name}: more than {buyers}");
        out.add_permits(20);
    };
    let (answers, ()) = join!(all, watch);
    assert!(answers.into_iter().all(|answer| answer.unwrap() == Answer::Taken), "{name}");
}

/// The statements for 100 units of one item when 100 clients ask at once.
async fn statements(services: &Services, name: &str) -> u64 {
    let mut sale = Sale::open(name, services, 101, Gap::default()).await;
    assert_eq!(sale.play(100, 0, 1).await.taken.len(), 1); // all are connected
    let (first, before) = (sale.way.calls().await.unwrap(), sale.way.calls().await.unwrap());
    let told = sale.play(100, 1, 100).await;
    let after = sale.way.calls().await.unwrap();
    assert_eq!(told.taken.len(), 100, "{name}");
    after - before - (before - first)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: make test"]
async fn a_queue_lets_16_into_the_engine_and_a_batch_commits_once_for_many() {
    let services = services(&[MariaDb]);
    for name in ["mariadb-row-lock", "mariadb-conditional"] {
        lets_in(&services, name, 20).await;
        lets_in(&services, &format!("{name}-queued"), 16).await;
        lets_in(&services, &format!("{name}-queued-undetected"), 16).await;
    }
    let one_by_one = statements(&services, "mariadb-row-lock").await;
    assert!((500..550).contains(&one_by_one), "five for each unit: {one_by_one}");
    let batched = statements(&services, "mariadb-batch").await;
    assert!((10..100).contains(&batched), "five for each batch: {batched}");
}

/// Others wait for a paused holder, as on PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: make test"]
async fn others_wait_for_a_paused_holder_of_a_row() {
    let rounds = rounds(&[MariaDb]);
    for name in ["mariadb-row-lock", "mariadb-conditional"] {
        let pause = rounds.pause(way(name)).await.unwrap();
        assert!(pause.audit.holds(), "{name}: {pause:?}");
        assert_eq!((pause.meanwhile, pause.audit.told), (0, 2), "{name}");
    }
}
