//! Chapter 6's statements read rows of `orders` and `payments` by an index, so a long sale makes none of them slower.

use std::collections::BTreeMap;

use crate::support::{
    orders::{DECLINED, GOOD, cancel, confirmed, pay_until_known},
    production::{Production, shared},
    requests::{becomes, log_in, request, sells},
};
use loadtest::buyer::client::Connection;
use sqlx::{AssertSqlSafe, Connection as _};

/// How often each of the two tables was read as a whole.
async fn whole_reads(sale: &Production) -> BTreeMap<String, i64> {
    let mut session = sale.only_session().await;
    let reads = "select relname::text, seq_scan from pg_stat_user_tables where relname in ('orders', 'payments')";
    let reads: Vec<(String, i64)> = sqlx::query_as(reads).fetch_all(&mut session).await.unwrap();
    session.close().await.unwrap();
    reads.into_iter().collect()
}

/// With `enable_seqscan` off, PostgreSQL reads a small table as a whole only if no index serves the statement.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn no_statement_reads_all_orders_or_all_payments() {
    let mut sale = Production::new(shared(), 5).await;
    let off = format!("alter database \"{}\" set enable_seqscan = off", sale.database.name());
    sqlx::query(AssertSqlSafe(off)).execute(&sale.pool).await.unwrap();
    let before = whole_reads(&sale).await;
    sale.pool = sale.database.connect().await.unwrap();

    let shop = sale.instance(&["--reconcile-every", "0.1"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let paid = confirmed(&shop, 5001).await;
    for (key, card, status) in [("a", DECLINED, 402), ("b", GOOD, 200), ("b", GOOD, 200)] {
        assert_eq!(pay_until_known(&shop, 5001, paid, key, card).await.status, status);
    }
    let canceled = confirmed(&shop, 5002).await;
    assert_eq!(cancel(&shop, 5002, canceled).await.status, 200);
    let expired = confirmed(&shop, 5003).await;
    sale.expire_order(expired).await;
    becomes(&mut connection, 5003, expired, "expired").await;
    let cookie = log_in(shop.address, 5001).await;
    assert_eq!(request(shop.address, "GET /orders", &[("cookie", &cookie)], "").await.status, 200);
    sale.flush().await; // the sale is rebuilt
    let order_id = sells(shop.address, 5004).await;
    let mut connection = Connection::open(shop.address).await.unwrap(); // the shop closes one that is idle for 30 s
    becomes(&mut connection, 5004, order_id, "confirmed").await;
    shop.stop().await;
    assert_eq!(whole_reads(&sale).await, before);
}
