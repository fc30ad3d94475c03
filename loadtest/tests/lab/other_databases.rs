//! What PostgreSQL and InnoDB (on MariaDB) do when two buyers meet at one row. `docs/src/other-databases.md` names these tests.

mod sale;

use std::collections::BTreeSet;

use crate::support::eventually;
use sale::{Engine, Engine::*, Level, Level::*, Sale};
use tokio::join;

const SOLD: &str = "select sold from sales where id = 1";
const LOCK: &str = "select sold from sales where id = 1 for update";
const WRITE: &str = "update sales set sold = 1 where id = 1";
const VERSION: &str = "select version from sales where id = 1";
const SWAP: &str = "update sales set sold = 1, version = 1 where id = 1 and version = 0";
const CONDITIONAL: &str = "update sales set sold = sold + 1 where id = 1 and sold < stock";
const ORDER: &str = "insert into orders (sale_id) values (1)";
const ALL: [Engine; 3] = [Postgres, MariaDb, MariaDbSnapshot];

type Ended = Result<u64, String>;

fn refused<T>(code: &str) -> Result<T, String> {
    Err(code.into())
}

/// Both buyers read 0 sold, then both write 1 and commit: one after the other, at serializable at the same time, because there the
/// first write waits for the other buyer. How the two ended (the error last), and what is sold afterwards.
async fn both_write(engine: Engine, level: Level) -> ([Ended; 2], i64) {
    let sale = Sale::new(engine, level, 10).await;
    let (mut a, mut b) = (sale.begin().await, sale.begin().await);
    assert_eq!((a.read(SOLD).await, b.read(SOLD).await), (Ok(0), Ok(0)));
    let mut ended: [Ended; 2] = match level {
        ReadCommitted | RepeatableRead => [a.write_and_commit(WRITE).await, b.write_and_commit(WRITE).await],
        Serializable => join!(a.write_and_commit(WRITE), b.write_and_commit(WRITE)).into(),
    };
    ended.sort();
    (ended, sale.read(SOLD).await)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn committed_loses_an_update() {
    for engine in ALL {
        assert_eq!(both_write(engine, ReadCommitted).await, ([Ok(1), Ok(1)], 1), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn repeatable_loses_an_update() {
    for (engine, second) in [(Postgres, refused("40001")), (MariaDb, Ok(1)), (MariaDbSnapshot, refused("1020"))] {
        assert_eq!(both_write(engine, RepeatableRead).await, ([Ok(1), second], 1), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn serializable_ends_one_of_two() {
    for (engine, code) in [(Postgres, "40001"), (MariaDb, "1213"), (MariaDbSnapshot, "1213")] {
        assert_eq!(both_write(engine, Serializable).await, ([Ok(1), refused(code)], 1), "{engine:?}");
    }
}

/// 1205 is MariaDB's answer to `nowait` when another transaction has a lock.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn serializable_reads_lock() {
    let read_then_lock = async |engine, level| {
        let sale = Sale::new(engine, level, 10).await;
        let (mut a, mut b) = (sale.begin().await, sale.begin().await);
        assert_eq!(a.read(SOLD).await, Ok(0));
        b.read("select sold from sales where id = 1 for update nowait").await
    };
    assert_eq!(read_then_lock(Postgres, Serializable).await, Ok(0));
    for engine in [MariaDb, MariaDbSnapshot] {
        assert_eq!(read_then_lock(engine, Serializable).await, refused("1205"), "{engine:?}");
        assert_eq!(read_then_lock(engine, RepeatableRead).await, Ok(0), "{engine:?}");
    }
}

/// The protocol counts matched rows if the client sets `CLIENT_FOUND_ROWS`, as sqlx does, otherwise changed rows. The program
/// `mariadb` does not set it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MariaDB: make test"]
async fn a_lost_update_counts_1_or_0() {
    let sale = Sale::new(MariaDb, RepeatableRead, 10).await;
    let (mut a, mut b, mut client) = (sale.begin().await, sale.begin().await, sale.client());
    assert_eq!(b.read(SOLD).await, Ok(0));
    client.say("set innodb_snapshot_isolation = off; begin; select concat('sold is ', sold) from sales;").await;
    client.hears("sold is 0").await;
    assert_eq!(a.write_and_commit(WRITE).await, Ok(1));
    assert_eq!(b.write_and_commit(WRITE).await, Ok(1));
    client.say(&format!("{WRITE}; commit;")).await;
    client.hears("Query OK, 0 rows affected").await;
    client.hears("Rows matched: 1  Changed: 0").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn a_lost_swap_sees_the_old_row() {
    let lost = async |engine, level| {
        let sale = Sale::new(engine, level, 10).await;
        let (mut a, mut b) = (sale.begin().await, sale.begin().await);
        assert_eq!(b.read(VERSION).await, Ok(0));
        assert_eq!(a.write_and_commit(SWAP).await, Ok(1));
        let swapped = b.run(SWAP).await;
        (sale, b, swapped)
    };

    let (sale, mut b, swapped) = lost(MariaDb, RepeatableRead).await;
    assert_eq!(swapped, Ok(0));
    for _ in 0..3 {
        assert_eq!(b.read(VERSION).await, Ok(0), "a plain read");
        assert_eq!(b.run(SWAP).await, Ok(0), "so a retry loses again");
    }
    assert_eq!(b.read("select version from sales where id = 1 for update").await, Ok(1), "a locking read");
    assert_eq!(b.read(VERSION).await, Ok(0), "a plain read after it");
    b.run("rollback").await.unwrap();
    assert_eq!(sale.begin().await.read(VERSION).await, Ok(1), "a new transaction");

    // PostgreSQL takes no more statements of this transaction. MariaDB has rolled it back, and reads outside of it.
    let (_sale, mut b, swapped) = lost(Postgres, RepeatableRead).await;
    assert_eq!((swapped, b.read(VERSION).await), (refused("40001"), refused("25P02")));
    let (_sale, mut b, swapped) = lost(MariaDbSnapshot, RepeatableRead).await;
    assert_eq!((swapped, b.read("select cast(@@in_transaction as signed)").await), (refused("1020"), Ok(0)));
    assert_eq!(b.read(VERSION).await, Ok(1));

    for engine in ALL {
        let (_sale, mut b, swapped) = lost(engine, ReadCommitted).await;
        assert_eq!((swapped, b.read(VERSION).await), (Ok(0), Ok(1)), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn for_update_after_a_read() {
    let read_then_lock = async |engine, level| {
        let sale = Sale::new(engine, level, 10).await;
        let (mut a, mut b) = (sale.begin().await, sale.begin().await);
        assert_eq!(b.read(SOLD).await, Ok(0));
        assert_eq!(a.write_and_commit(WRITE).await, Ok(1));
        b.read(LOCK).await
    };
    for (engine, locked) in [(Postgres, refused("40001")), (MariaDb, Ok(1)), (MariaDbSnapshot, refused("1020"))] {
        assert_eq!(read_then_lock(engine, RepeatableRead).await, locked, "{engine:?}");
        assert_eq!(read_then_lock(engine, ReadCommitted).await, Ok(1), "{engine:?}");
    }
}

/// Chapter 2's purchase: the lock is the first statement of the transaction.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn for_update_as_first_statement() {
    let lock_and_wait = async |engine, level| {
        let sale = Sale::new(engine, level, 10).await;
        let (mut a, mut b) = (sale.begin().await, sale.begin().await);
        assert_eq!(a.read(LOCK).await, Ok(0));
        let others = async {
            eventually("the other buyer waits", async || sale.waiting().await == 1).await;
            assert_eq!(a.write_and_commit(WRITE).await, Ok(1));
        };
        join!(b.read(LOCK), others).0
    };
    for (engine, locked) in [(Postgres, refused("40001")), (MariaDb, Ok(1)), (MariaDbSnapshot, Ok(1))] {
        assert_eq!(lock_and_wait(engine, RepeatableRead).await, locked, "{engine:?}");
        assert_eq!(lock_and_wait(engine, ReadCommitted).await, Ok(1), "{engine:?}");
    }
}

/// The order's foreign key locks the sale's row. InnoDB's shared lock stands in the way of every write. PostgreSQL's `for key share`
/// stands in the way of `for update`, not of an update that leaves the key as it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn insert_first_deadlocks() {
    let insert_then = async |engine, level, sql| {
        let sale = Sale::new(engine, level, 10).await;
        let (mut a, mut b) = (sale.begin().await, sale.begin().await);
        assert_eq!((a.run(ORDER).await, b.run(ORDER).await), (Ok(1), Ok(1)));
        let (a, b) = join!(a.write_and_commit(sql), b.write_and_commit(sql));
        assert!(a.is_ok() || b.is_ok(), "{engine:?}: {a:?}, {b:?}");
        a.and(b).map(drop)
    };
    for level in [ReadCommitted, RepeatableRead] {
        for engine in [MariaDb, MariaDbSnapshot] {
            assert_eq!(insert_then(engine, level, LOCK).await, refused("1213"), "{engine:?}");
            assert_eq!(insert_then(engine, level, CONDITIONAL).await, refused("1213"), "{engine:?}");
        }
    }
    assert_eq!(insert_then(Postgres, ReadCommitted, LOCK).await, refused("40P01"));
    assert_eq!(insert_then(Postgres, ReadCommitted, CONDITIONAL).await, Ok(()));
}

/// Twenty buyers, five units, one statement each. Above read committed, where a database refuses buyers with an error, units may be
/// left.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn conditional_never_oversells() {
    for (engine, level) in ALL.into_iter().flat_map(|engine| Level::ALL.map(|level| (engine, level))) {
        let sale = Sale::new(engine, level, 5).await;
        let ended = futures_util::future::join_all((0..20).map(|_| sale.run(CONDITIONAL))).await;
        let bought: u64 = ended.iter().flatten().sum();
        let refused: Vec<_> = ended.iter().filter_map(|ended| ended.as_ref().err()).collect();
        assert_eq!(sale.read(SOLD).await, bought as i64, "{engine:?} {level:?}");
        let may_refuse = match engine {
            Postgres if level != ReadCommitted => Some("40001"),
            MariaDbSnapshot if level != ReadCommitted => Some("1020"),
            Postgres | MariaDb | MariaDbSnapshot => None,
        };
        assert!(refused.iter().all(|code| Some(code.as_str()) == may_refuse), "{engine:?} {level:?}: {refused:?}");
        assert!(bought == 5 || may_refuse.is_some(), "{engine:?} {level:?}: {bought}");
    }
}

/// Each test of this file is a row of the page's table, and the page names no other.
#[test]
fn the_page_has_a_row_for_each_test() {
    let page = include_str!("../../../docs/src/other-databases.md");
    let cells = page.lines().filter_map(|line| line.split_once("<br>`")?.1.split_once('`')).map(|(name, _)| name);
    let tests = include_str!("other_databases.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("async fn ")?.split_once("() {"));
    let (named, tests): (BTreeSet<_>, BTreeSet<_>) = (cells.collect(), tests.map(|(name, _)| name).collect());
    assert_eq!(named, tests);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL and MariaDB: make test"]
async fn the_defaults_differ() {
    let default = async |engine, query| Sale::with_defaults(engine).await.text(query).await;
    assert_eq!(default(Postgres, "show transaction_isolation").await, "read committed");
    assert_eq!(default(MariaDb, "select @@tx_isolation").await, "REPEATABLE-READ");
    let version = default(MariaDb, "select version()").await;
    let snapshot = default(MariaDb, "select cast(@@global.innodb_snapshot_isolation as char)").await;
    assert!(snapshot == "OFF" || !version.starts_with("10.11."), "{version}: {snapshot}");
}
