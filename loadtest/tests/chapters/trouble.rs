//! A shop's answers when a lock or a connection is not available, or the client disconnects.

use crate::support::{Shop, assert_problem, eventually};
use loadtest::version::Version::{V1, V2};
use sqlx::{Any, Transaction};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Locks the row of the sale, as a slow buyer would.
async fn hold_row(shop: &Shop) -> Transaction<'static, Any> {
    let mut tx = shop.pool.begin().await.unwrap();
    sqlx::query("select id from sales where id = 42 for update").fetch_one(&mut *tx).await.unwrap();
    tx
}

async fn waiters(shop: &Shop) -> Vec<i32> {
    let query = "select pid from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'";
    sqlx::query_scalar(query).bind(shop.database.name()).fetch_all(shop.lab.admin().unwrap()).await.unwrap()
}

async fn a_buyer_waits(shop: &Shop) {
    eventually("a buyer waits for the row", async || !waiters(shop).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_lock_that_does_not_come_is_a_conflict() {
    let shop = Shop::start(V2, "postgres", 1, &["--lock-timeout-ms", "100"]).await;
    let held = hold_row(&shop).await;
    let before = shop.ledger().await;
    assert_problem(&shop.buy(7).await, 409, "conflict");
    held.rollback().await.unwrap();
    assert_eq!(shop.ledger().await, before);
    assert_eq!(shop.buy(7).await.status, 201);
}

/// PostgreSQL reports "canceled by user" instead of "lock timeout" if the timeout ends just as the lock is granted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_wait_that_is_canceled_is_a_conflict() {
    let shop = Shop::start(V2, "postgres", 1, &["--lock-timeout-ms", "30000"]).await;
    let held = hold_row(&shop).await;
    let cancel = async {
        a_buyer_waits(&shop).await;
        let cancel = sqlx::query("select pg_cancel_backend($1)").bind(waiters(&shop).await[0]);
        cancel.execute(shop.lab.admin().unwrap()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(shop.buy(7), cancel);
    assert_problem(&answer, 409, "conflict");
    held.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_a_conflict() {
    let shop = Shop::start(V2, "sqlite", 1, &[]).await;
    let held = shop.pool.begin_with("begin immediate").await.unwrap();
    assert_problem(&shop.buy(7).await, 409, "conflict"); // after SQLite's busy timeout of 5 s
    held.rollback().await.unwrap();
    assert_eq!(shop.buy(7).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn no_free_connection_is_overload() {
    let args = ["--lock-timeout-ms", "30000", "--pool-size", "1", "--pool-timeout", "10"];
    let shop = Shop::start(V2, "postgres", 9, &args).await;
    let held = hold_row(&shop).await;
    let second = async {
        a_buyer_waits(&shop).await;
        let refused = shop.buy(8).await;
        assert_problem(&refused, 503, "overloaded");
        assert_eq!(refused.headers["retry-after"], "1");
        held.rollback().await.unwrap();
    };
    let (first, ()) = tokio::join!(shop.buy(7), second);
    assert_eq!(first.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_timeout_is_reported_and_takes_no_unit() {
    let args = ["--lock-timeout-ms", "30000", "--request-timeout", "5"];
    let shop = Shop::start(V2, "postgres", 1, &args).await;
    let held = hold_row(&shop).await;
    assert_problem(&shop.buy(7).await, 504, "timed-out");
    held.rollback().await.unwrap();
    assert_eq!(shop.buy(8).await.status, 201);
    assert_eq!(shop.ledger().await.orders.len(), 1);
}

/// A pool of one connection: if the buyer who disconnected kept the connection or its lock, no later buyer could buy.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_buyer_who_disconnects_blocks_no_later_buyer() {
    let shop = Shop::start(V2, "postgres", 1, &["--lock-timeout-ms", "30000", "--pool-size", "1"]).await;
    let held = hold_row(&shop).await;
    let mut gone = TcpStream::connect(shop.address()).await.unwrap();
    let request = "POST /sales/42/purchase HTTP/1.1\r\nhost: shop\r\nx-buyer-id: 7\r\ncontent-length: 0\r\n\r\n";
    gone.write_all(request.as_bytes()).await.unwrap();
    a_buyer_waits(&shop).await;
    // It tells the shop at once. A child of a parallel test may keep a copy of a socket that is only closed.
    gone.shutdown().await.unwrap();
    // The shop closes the connection without an answer when it has noticed. Before, it could still sell to this buyer.
    assert_eq!(gone.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    held.rollback().await.unwrap();
    assert_eq!(shop.buy(8).await.status, 201);
    assert_eq!(shop.ledger().await.orders.iter().map(|order| order.buyer_id).collect::<Vec<_>>(), [8]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn a_database_that_goes_away_is_our_fault_and_is_not_told_in_detail() {
    let shop = Shop::start(V1, "postgres", 1, &[]).await;
    let drop = format!("drop database {} with (force)", shop.database.name());
    sqlx::query(sqlx::AssertSqlSafe(drop)).execute(shop.lab.admin().unwrap()).await.unwrap();
    let answer = shop.buy(7).await;
    assert!([500, 503].contains(&answer.status.as_u16()), "{answer:?}");
    assert!(!String::from_utf8_lossy(&answer.body).contains("oversold_"), "{answer:?}");
}
