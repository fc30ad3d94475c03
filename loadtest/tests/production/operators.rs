//! Chapter 6 and its operators: their changes take effect, and their mistakes are reported.

use std::time::Duration;

use crate::support::{
    SALE, assert_problem, eventually, json,
    orders::{Socket, confirmed, heard, watch},
    production::{Production, operate_says, shared},
    requests::{address, buy_at, click, log_in, purchase, queued, request},
};
use futures_util::{SinkExt, StreamExt, future::join_all};
use loadtest::{buyer::client::Connection, lab::shop_process::ShopProcess};
use redis::AsyncCommands;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Message;
use v1_naive::shop::sales::{Sale, now_ms};
use v6_production::{OrderId, buyer_id};

/// How soon a change in SQL takes effect.
const SOON: Duration = Duration::from_secs(5);

impl Production {
    async fn change(&self, what: &str) -> Instant {
        let update = format!("update sales set {what} where id = {SALE}");
        sqlx::query(sqlx::AssertSqlSafe(update)).execute(&self.pool).await.unwrap();
        Instant::now()
    }
}

/// The sale is not compared with SQL in between: that happens once per hour.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn another_window_or_stock_is_in_force_at_once_and_the_sale_goes_on() {
    let sale = Production::new(shared(), 2).await;
    let shop = sale.instance(&["--reconcile-every", "3600", "--path-ttl", "600"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let epoch = sale.epoch().await;
    let (early, late) = (log_in(shop.address, 5951).await, log_in(shop.address, 5952).await);
    let (for_early, for_late) =
        (address(shop.address, SALE, &early).await.unwrap(), address(shop.address, SALE, &late).await.unwrap());
    queued(&buy_at(shop.address, &for_early, &early, None).await);

    // The emergency stop also applies to buyers who have a purchase URL.
    let is_closed = async || buy_at(shop.address, &for_early, &early, None).await.status == 410; // not 404 for a used URL
    // On a busy machine anything can stand still for some seconds, but not three times.
    let mut after = Duration::MAX;
    for _ in 0..3 {
        let stopped = sale.change("closes_at = now_ms()").await;
        let mut in_force = stopped;
        eventually("it is closed", async || {
            in_force = Instant::now();
            is_closed().await
        })
        .await;
        sale.change("closes_at = now_ms() + 3600000").await;
        eventually("it is open again", async || !is_closed().await).await;
        after = after.min(in_force - stopped);
        if after < SOON {
            break;
        }
    }
    eventually("and it sells", async || buy_at(shop.address, &for_late, &late, None).await.status == 202).await;
    assert_problem(&click(&mut connection, 5953).await, 409, "sold-out");
    sale.change("stock = 5").await;
    eventually("there is more", async || click(&mut connection, 5953).await.status == 202).await;
    sale.change("stock = 3").await;
    let units =
        async || sale.stores.connect().await.unwrap().hget::<_, _, i64>(sale.stores.key(SALE, "sale"), "units").await;
    eventually("and less", async || units().await.is_ok_and(|units| units == 3)).await;
    assert_problem(&click(&mut connection, 5955).await, 409, "sold-out");
    sale.settles_at(3).await;
    assert_eq!(sale.epoch().await, epoch, "it was not rebuilt");
    let ledger = sale.ledger().await;
    assert_eq!(ledger.stores.unwrap().sales[&SALE].left, 0);
    assert!(after < SOON, "closed after {after:?}");
}

/// The command also updates Redis; a write to SQL alone does not.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_denial_by_hand_is_in_force_soon() {
    let sale = Production::new(shared(), 2).await;
    let shop = sale.instance(&["--reconcile-every", "0.2"]).await;
    let cookie = log_in(shop.address, 5956).await;
    let told = async || purchase(shop.address, SALE, &cookie, None).await.status.as_u16();
    let insert = sqlx::query("insert into denied (buyer_id, name) values ($1, '5956')");
    insert.bind(v6_production::buyer_id("5956")).execute(&sale.pool).await.unwrap();
    let denied = async || {
        let mut redis = sale.stores.connect().await.unwrap();
        redis.scard::<_, i64>(sale.stores.key(SALE, "denied")).await.unwrap()
    };
    eventually("it is told", async || denied().await == 1).await;
    assert_eq!(told().await, 403);
    sqlx::query("delete from denied").execute(&sale.pool).await.unwrap();
    eventually("it is lifted", async || denied().await == 0).await;
    assert_eq!(told().await, 202);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn who_sells_gets_no_sale_to_learn_with_and_none_that_is_over_before_it_begins() {
    let sale = Production::new(shared(), 1).await;
    let sales =
        async || -> i64 { sqlx::query_scalar("select count(*) from sales").fetch_one(&sale.pool).await.unwrap() };
    let secret = ["--session-secret", "a secret of at least 32 bytes: really"];
    let shop = sale.instance(&[&["--mode", "production", "--role", "worker"][..], &secret].concat()).await;
    assert_eq!(sales().await, 1);
    shop.stop().await;
    sale.instance(&[]).await.stop().await;
    assert_eq!(sales().await, 2, "a demo puts sale 1 up");
    assert!(operate_says(&sale, &["seed", "--sale", "9", "--lasts", "0"]).unwrap_err().contains("--lasts"));
    let now = now_ms();
    let over = Sale { id: 9, opens_at: now, closes_at: now - 1, ..Sale::open(9, 5) };
    let refused = sale.stores.put_up(&sale.database.url, &[over]).await.unwrap_err().to_string();
    assert!(refused.contains("over before it begins"), "{refused}");
    assert!(!sale.logs().contains("empty command"), "{}", sale.logs());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_untrusted_proxy_is_reported_once() {
    let sale = Production::new(shared(), 1).await;
    let (forgotten, named) = (sale.instance(&[]).await, sale.instance(&["--trusted-proxies", "127.0.0.1"]).await);
    for shop in [&named, &forgotten, &forgotten, &forgotten] {
        request(shop.address, "POST /session", &[("x-forwarded-for", "192.0.2.1")], r#"{"name": "x"}"#).await;
    }
    assert_eq!(sale.logs().matches("not among TRUSTED_PROXIES").count(), 1, "{}", sale.logs());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn pages_of_sites_that_are_named_may_ask_and_read() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&["--origins", "https://shop.example"]).await;
    let own = format!("http://{}", shop.address);
    let preflight = [("access-control-request-method", "POST"), ("access-control-request-headers", "idempotency-key")];
    for (origin, may) in [("https://shop.example", true), ("https://evil.example", false)] {
        let asked = [&[("origin", origin)][..], &preflight].concat();
        let reply = request(shop.address, "OPTIONS /session", &asked, "").await;
        let allowed = reply.headers.get("access-control-allow-origin").and_then(|origin| origin.to_str().ok());
        assert_eq!((reply.status.as_u16(), allowed), (200, may.then_some(origin)), "{reply:?}");
        let login = request(shop.address, "POST /session", &[("origin", origin)], r#"{"name": "x"}"#).await;
        assert_eq!(login.status, if may { 200 } else { 403 }, "{origin}");
        assert!(login.headers.contains_key("access-control-allow-credentials"));
        assert_eq!(login.headers.contains_key("access-control-allow-origin"), may, "{origin}");
    }
    let login = request(shop.address, "POST /session", &[("origin", &own)], r#"{"name": "x"}"#).await;
    assert_eq!(login.status, 200, "its own page");
}

async fn sockets(shop: &ShopProcess, buyer: i64, order_id: i64) -> Vec<Socket> {
    let mut sockets = Vec::new();
    while let Ok(socket) = watch(shop, buyer, order_id).await {
        sockets.push(socket);
    }
    sockets
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_websocket_that_sends_too_much_or_never_answers_is_closed() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 5961).await;
    let mut loud = watch(&shop, 5961, order_id).await.unwrap();
    assert_eq!(heard(&mut loud).await, "confirmed");
    let _ = loud.send(Message::Binary(vec![0; 1 << 20].into())).await; // it may already be closed
    let end = timeout(Duration::from_secs(10), loud.next()).await.expect("it is closed");
    assert!(
        matches!(&end, Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == 1009)
            || !matches!(end, Some(Ok(_))),
        "{end:?}"
    );
    // Its place is free when its connection has ended.
    let rest = async { while let Some(Ok(_)) = loud.next().await {} };
    timeout(Duration::from_secs(60), rest).await.expect("its connection ends");

    // These sockets are not read, so the pings are not answered.
    let silent = sockets(&shop, 5961, order_id).await;
    assert_eq!(silent.len(), 8);
    let since = Instant::now();
    let room = async || watch(&shop, 5961, order_id).await.is_ok();
    while !room().await {
        assert!(since.elapsed() < Duration::from_secs(75), "no room after a minute");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(silent);
}

/// Periodic tasks read only the rows that are due, also if PostgreSQL's statistics are from before the sale, when no order was
/// unpaid.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn looking_for_orders_to_expire_or_give_back_reads_none_of_the_others() {
    const MANY: i64 = 30_000;
    let sale = Production::new(shared(), MANY).await;
    let insert = "insert into orders (id, sale_id, buyer_id, status, path, request, reserved_at, confirmed_at, pay_by)
                  select n, 42, n, 'paid', n, n, n, n, now_ms() + 3600000 from generate_series(1, $1) as n";
    let mut session = PgConnection::connect(sale.database.url.as_str()).await.unwrap();
    sqlx::query("alter table orders set (autovacuum_enabled = off)").execute(&mut session).await.unwrap();
    sqlx::query(insert).bind(MANY).execute(&mut session).await.unwrap();
    sqlx::query("vacuum analyze orders").execute(&mut session).await.unwrap();
    sqlx::query("update orders set status = 'confirmed'").execute(&mut session).await.unwrap();
    session.close().await.unwrap();
    sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await.stop().await; // creates the first sale, which reads more
    let mut session = sale.only_session().await;
    sqlx::query("select pg_stat_reset()").execute(&mut session).await.unwrap();
    let _shop = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    let look = "select (select idx_scan from pg_stat_user_indexes where indexrelname = 'to_expire'),
                    seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = 'orders'";
    let mut rows = 0;
    let looked = async || {
        let (looks, read): (i64, i64) = sqlx::query_as(look).fetch_one(&mut session).await.unwrap();
        rows = read;
        looks >= 5
    };
    eventually("it has looked five times", looked).await;
    assert!(rows < MANY / 10, "{rows} rows were read");
}

/// PostgreSQL keeps the plan that it made for the first orders of a sale.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn polling_reads_only_the_orders_asked_for_when_the_table_has_grown() {
    const MANY: i64 = 30_000;
    const WHO_POLL: i64 = 40;
    let sale = Production::new(shared(), MANY).await;
    let first = OrderId::base(SALE, 1).0;
    let sell = async |first: i64, buyers: Vec<i64>| {
        let insert =
            "insert into orders (id, sale_id, buyer_id, status, path, request, reserved_at, confirmed_at, pay_by)
                      select $1 + n, 42, buyer, 'paid', n, n, n, n, n
                      from unnest(string_to_array($2, ' ')::bigint[]) with ordinality as sold (buyer, n)";
        let buyers = buyers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ");
        sqlx::query(insert).bind(first).bind(buyers).execute(&sale.pool).await.unwrap();
    };
    let shop = sale.instance(&["--role", "api"]).await;
    let cookies = join_all((1..=WHO_POLL).map(|buyer| log_in(shop.address, buyer))).await;
    let poll = async || {
        let poll = async |(n, cookie): (usize, &String)| {
            for _ in 0..20 {
                let line = format!("GET /orders/{}", first + 1 + n as i64);
                let reply = request(shop.address, &line, &[("cookie", cookie)], "").await;
                assert_eq!(json(&reply)["status"], "paid");
            }
        };
        join_all(cookies.iter().enumerate().map(poll)).await;
    };
    sell(first, (1..=WHO_POLL).map(|buyer| buyer_id(&buyer.to_string())).collect()).await;
    poll().await;
    sell(first + WHO_POLL, (1..=MANY).collect()).await;
    poll().await;
    shop.stop().await; // a session that ends reports what it has read
    let counts = "select coalesce(seq_scan, 0) + coalesce(idx_scan, 0), seq_tup_read from pg_stat_user_tables
                  where relname = 'orders'";
    let mut read = 0;
    let reported = async || {
        let (scans, rows): (i64, i64) = sqlx::query_as(counts).fetch_one(&sale.pool).await.unwrap();
        read = rows;
        scans > 20
    };
    eventually("the reads are counted", reported).await;
    assert!(read < MANY, "{read} rows were read by whole scans");
}
