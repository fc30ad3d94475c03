//! The ways on PostgreSQL.

use loadtest::{lab::servers::Server::Postgres, ways::way::Gap};
use sqlx::{Connection, PgConnection};

use super::{Sale, hold, meeting, rounds, services, way};

/// The ways that hold, whatever happens.
const HOLD: [&str; 7] = [
    "postgres-row-lock",
    "postgres-row-lock-last",
    "postgres-version",
    "postgres-conditional",
    "postgres-skip-locked",
    "postgres-advisory-lock",
    "postgres-single-writer",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn one_process_and_two_sell_all_units_once() {
    let rounds = rounds(&[Postgres]);
    for processes in [1, 2] {
        hold(&rounds, processes, &HOLD).await;
        hold(&rounds, processes, &["postgres-sequence"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_kill_of_postgres_loses_no_order() {
    let rounds = rounds(&[Postgres]);
    for name in HOLD {
        let audit = rounds.restart(way(name)).await.unwrap();
        assert!(audit.holds() && audit.counted == 100, "{name}: {audit:?}");
        assert!(audit.told + audit.unknown >= 100, "{name}: {audit:?}");
    }
    // PostgreSQL logs a sequence 32 numbers ahead, and a number of an order under way is lost, too.
    let audit = rounds.restart(way("postgres-sequence")).await.unwrap();
    assert_eq!((audit.oversold, audit.lost, audit.double_bought), (0, 0, 0), "{audit:?}");
    assert!(audit.undersold <= 32 + 16, "{audit:?}");
}

/// All buyers have read that nothing is sold before one of them writes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn who_read_the_same_number_write_the_same_number() {
    let services = services(&[Postgres]);
    let mut sale = Sale::open("postgres-read-compare-write", &services, 1, meeting(8)).await;
    let told = sale.play(8, 0, 8).await;
    let audit = sale.audit(&told).await;
    assert_eq!((audit.told, audit.counted, audit.oversold), (8, 8, 7));
}

/// Both buyers have read the same version. One gets the unit; the other one asks again and is refused.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn of_two_buyers_with_the_same_version_one_asks_again() {
    let services = services(&[Postgres]);
    let mut sale = Sale::open("postgres-version", &services, 1, meeting(2)).await;
    let told = sale.play(2, 0, 2).await;
    assert_eq!((told.taken.len(), told.again), (1, 1));
    assert!(sale.audit(&told).await.holds());
}

/// Both hold a unit at the same time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn two_buyers_hold_two_units_of_an_item_at_the_same_time() {
    let services = services(&[Postgres]);
    let mut sale = Sale::open("postgres-skip-locked", &services, 2, meeting(2)).await;
    let told = sale.play(2, 0, 2).await;
    assert_eq!((told.taken.len(), sale.audit(&told).await.holds()), (2, true));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_sequence_loses_the_unit_of_an_order_that_fails() {
    let services = services(&[Postgres]);
    let mut db = PgConnection::connect(services.url(Postgres).unwrap().as_str()).await.unwrap();
    for (name, undersold) in [("postgres-sequence", 1), ("postgres-conditional", 0)] {
        let mut sale = Sale::open(name, &services, 5, Gap::default()).await;
        let refuse = "alter table orders drop constraint if exists refused, add constraint refused check (buyer <> 1)";
        sqlx::query(refuse).execute(&mut db).await.unwrap();
        let told = sale.play(1, 0, 10).await;
        let audit = sale.audit(&told).await;
        assert_eq!((audit.unknown, audit.undersold, audit.oversold), (1, undersold, 0), "{name}");
    }
}

/// The queue fills while the writer waits for a row that another transaction has locked. Then one batch has all of them.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_single_writer_commits_once_for_all_who_wait() {
    let services = services(&[Postgres]);
    let mut sale = Sale::open("postgres-single-writer", &services, 50, Gap::default()).await;
    let told = sale.play(1, 0, 1).await; // the writer has connected
    assert_eq!(told.taken.len(), 1);
    let mut db = PgConnection::connect(services.url(Postgres).unwrap().as_str()).await.unwrap();
    let mut lock = db.begin().await.unwrap();
    sqlx::query("select from items for update").execute(&mut *lock).await.unwrap();
    let before = sale.way.calls().await.unwrap();
    let own = sale.way.calls().await.unwrap() - before;
    let unlock = async {
        let mut watch = PgConnection::connect(services.url(Postgres).unwrap().as_str()).await.unwrap();
        let waits = "select exists (select from pg_locks where not granted)";
        while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut watch).await.unwrap() {}
        lock.rollback().await.unwrap();
    };
    let (told, ()) = tokio::join!(sale.play(16, 1, 16), unlock);
    assert_eq!(told.taken.len(), 16);
    let mut commits = PgConnection::connect(services.url(Postgres).unwrap().as_str()).await.unwrap();
    let orders: i64 = sqlx::query_scalar("select count(distinct xmin::text) from orders where buyer > 0")
        .fetch_one(&mut commits)
        .await
        .unwrap();
    // How many wishes come while the first transaction waits is a matter of time; that several share one is not.
    assert!(own > 0 && orders < 16, "16 orders in {orders} transactions");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn others_wait_for_a_paused_holder_of_a_row_and_skip_a_locked_unit() {
    let rounds = rounds(&[Postgres]);
    for (name, meanwhile) in [("postgres-row-lock", 0), ("postgres-skip-locked", 1)] {
        let pause = rounds.pause(way(name)).await.unwrap();
        assert!(pause.audit.holds(), "{name}: {pause:?}");
        assert_eq!((pause.meanwhile, pause.audit.told), (meanwhile, 2), "{name}");
    }
}
