//! Chapter 5 over HTTP, gate by gate, with a clock that the tests set.

use std::{net::SocketAddr, time::Instant};

use crate::support::{Shop, assert_problem, eventually, lab, link, serve, step};
use hyper::StatusCode;
use loadtest::{
    buyer::client::{Connection, Reply},
    lab::{observe::counters, shop_process::ShopProcess},
    version::Version::V5,
};
use sqlx::AnyPool;
use v1_naive::shop::sales::Sale;
use v5_hidden_api::{app_at, gate::clock::Clock};

/// Chapter 5 in this process, with sale 1 and a clock that the test sets.
struct Hidden {
    address: SocketAddr,
    clock: Clock,
    pool: AnyPool,
    _lab: loadtest::lab::Lab,
}

const LOOSE: [&str; 4] = ["--client-rate", "100000", "--client-burst", "100000"];

async fn hidden(args: &[&str]) -> Hidden {
    let lab = lab("sqlite").await;
    let database = lab.fresh_database().await.unwrap();
    let fixed = ["v5", "--database-url", database.url.as_str(), "--stock", "100"];
    let config: v5_hidden_api::Config = clap::Parser::try_parse_from([&fixed[..], &LOOSE[..], args].concat()).unwrap();
    let clock = Clock::default();
    let address = serve(app_at(&config, clock.clone()).await.unwrap()).await;
    let pool = database.connect().await.unwrap();
    Hidden { address, clock, pool, _lab: lab }
}

impl Hidden {
    async fn ask(&self, sale: i64, buyer: i64) -> Reply {
        self.post(&format!("/sales/{sale}/path"), buyer).await
    }

    async fn post(&self, path: &str, buyer: i64) -> Reply {
        let mut connection = Connection::open(self.address).await.unwrap();
        connection.send(&link("POST", path), Some(buyer), None).await.unwrap()
    }

    /// The purchase URL of this buyer.
    async fn path(&self, buyer: i64) -> String {
        let reply = self.ask(1, buyer).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        step(&reply).uri.to_string()
    }

    async fn orders(&self) -> i64 {
        sqlx::query_scalar("select count(*) from orders").fetch_one(&self.pool).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_purchase_url_before_the_opening_or_after_the_close() {
    let shop = hidden(&["--opens-in", "3600", "--open-for", "60"]).await;
    assert_problem(&shop.ask(1, 7).await, 403, "not-open");
    assert_problem(&shop.post(&format!("/sales/1/purchase/{}", "0".repeat(32)), 7).await, 403, "not-open");

    shop.clock.advance(3_600_000);
    let path = shop.path(7).await;
    shop.clock.advance(-10_000);
    assert_problem(&shop.post(&path, 7).await, 403, "not-open"); // the clock is set back to before the opening
    shop.clock.advance(10_000);
    assert_eq!(shop.post(&path, 7).await.status, StatusCode::CREATED);

    let late = shop.path(8).await;
    shop.clock.advance(60_000);
    assert_problem(&shop.post(&late, 8).await, 410, "closed");
    assert_problem(&shop.ask(1, 8).await, 410, "closed");
    assert_eq!(shop.orders().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_valid_for_its_buyer_for_a_while_and_once() {
    let shop = hidden(&["--path-ttl", "60", "--frequency-limit", "1000"]).await;
    let path = shop.path(7).await;
    assert_problem(&shop.post(&path, 8).await, 404, "wrong-path"); // another's
    assert_problem(&shop.post(&path.replace("/sales/1/", "/sales/2/"), 7).await, 404, "wrong-path");
    assert_eq!(shop.post(&path, 7).await.status, StatusCode::CREATED);
    assert_problem(&shop.post(&path, 7).await, 404, "wrong-path"); // used

    let expired = shop.path(8).await;
    shop.clock.advance(60_000);
    assert_problem(&shop.post(&expired, 8).await, 404, "wrong-path");

    let future = shop.path(9).await;
    shop.clock.advance(-5_000);
    assert_problem(&shop.post(&future, 9).await, 404, "wrong-path"); // issued in the future, by this clock
    assert_eq!(shop.orders().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_with_one_path_get_one_unit() {
    let shop = hidden(&["--frequency-limit", "1000"]).await;
    let path = shop.path(7).await;
    let both = tokio::join!(shop.post(&path, 7), shop.post(&path, 7), shop.post(&path, 7));
    let mut statuses = [both.0, both.1, both.2].map(|reply| reply.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404, 404]);
}

/// A wrong path, an invalid one, and a sale that does not exist: the answers are identical to the last byte.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_why_a_path_is_wrong() {
    let shop = hidden(&["--frequency-limit", "1000"]).await;
    let own = shop.path(7).await;
    let good = own.rsplit('/').next().unwrap().to_owned();
    let wrong = shop.post(&format!("/sales/1/purchase/{}", "0".repeat(32)), 7).await;
    assert_problem(&wrong, 404, "wrong-path");
    let long = "a".repeat(5000);
    for path in [
        &format!("/sales/99/purchase/{good}"),
        &format!("/sales/-1/purchase/{good}"),
        &format!("/sales/1/purchase/{good}0"),
        &format!("/sales/1/purchase/{}", &good[1..]),
        &format!("/sales/1/purchase/{}z", &good[1..]),
        &format!("/sales/1/purchase/{}", "\u{df}".repeat(16).replace('\u{df}', "%c3%9f")),
        &format!("/sales/1/purchase/{long}"),
        "/sales/1/purchase/%00",
        "/sales/1/purchase/..",
        "/sales/1/purchase/'%20or%201=1",
    ] {
        let reply = shop.post(path, 7).await;
        assert_eq!((reply.status, &reply.body), (wrong.status, &wrong.body), "{path}");
    }
    let mut connection = Connection::open(shop.address).await.unwrap();
    let anonymous = connection.send(&link("POST", &own), None, None).await.unwrap();
    assert_problem(&anonymous, 401, "unauthenticated");
    assert_problem(&shop.post("/sales/1/purchase", 7).await, 404, "not-found"); // chapter 3's address is gone
    assert_eq!(shop.orders().await, 0);
    assert_eq!(shop.post(&own, 7).await.status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cache_and_no_referrer_learns_a_path() {
    let shop = hidden(&[]).await;
    let given = shop.ask(1, 7).await;
    let used = shop.post(&step(&given).uri.to_string(), 7).await;
    let wrong = shop.post("/sales/1/purchase/x", 7).await;
    for reply in [given, used, wrong] {
        assert_eq!(
            (&reply.headers["cache-control"], &reply.headers["referrer-policy"]),
            (&"no-store".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_shows_a_path() {
    let shop = Shop::start(V5, "sqlite", 100, &["--log", "trace"]).await;
    let mut connection = shop.connect().await;
    let given = connection.send(&link("POST", "/sales/42/path"), Some(7), None).await.unwrap();
    let uri = step(&given).uri.to_string();
    assert_eq!(connection.send(&link("POST", &uri), Some(7), None).await.unwrap().status, StatusCode::CREATED);
    assert_eq!(connection.send(&link("POST", &uri), Some(7), None).await.unwrap().status, StatusCode::NOT_FOUND);
    let log = shop.log();
    assert!(log.contains("/sales/{sale_id}/purchase/{path}"), "the route is there: {log}");
    assert!(!log.contains(uri.rsplit('/').next().unwrap()), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_has_a_limited_number_of_tries_per_window() {
    let shop = hidden(&["--frequency-limit", "3", "--frequency-window", "10"]).await;
    for _ in 0..3 {
        assert_problem(&shop.post("/sales/1/purchase/x", 7).await, 404, "wrong-path"); // wrong ones count, too
    }
    let refused = shop.ask(1, 7).await;
    assert_problem(&refused, 429, "rate-limited");
    let wait: i64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    assert_eq!(shop.ask(1, 8).await.status, StatusCode::OK, "another buyer's count is another");

    shop.clock.advance(10_000);
    assert_eq!(shop.ask(1, 7).await.status, StatusCode::OK);

    // When the clock is set back by an hour, buyers do not have to wait for an hour.
    for _ in 0..3 {
        shop.ask(1, 7).await;
    }
    assert_problem(&shop.ask(1, 7).await, 429, "rate-limited");
    sqlx::query("update sales set opens_at = 0").execute(&shop.pool).await.unwrap();
    shop.clock.advance(-3_600_000);
    assert_eq!(shop.ask(1, 7).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_unit_for_each_buyer() {
    one_each("sqlite").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn one_unit_for_each_buyer_on_postgres() {
    one_each("postgres").await;
}

async fn one_each(database: &str) {
    let shop = Shop::start(V5, database, 10, &[&LOOSE[..], &["--frequency-limit", "1000"]].concat()).await;
    assert_eq!(shop.buy(7).await.status, StatusCode::CREATED);
    let before = shop.ledger().await;
    assert_problem(&shop.buy(7).await, 409, "limit-reached");
    assert_eq!(shop.ledger().await, before, "neither an order nor a unit");
    Sale::open(43, 1).insert(&shop.pool).await.unwrap();
    let mut connection = shop.connect().await;
    let mut given = None;
    eventually("the new sale is seen", async || {
        given = Some(connection.send(&link("POST", "/sales/43/path"), Some(7), None).await.unwrap());
        given.as_ref().is_some_and(|reply| reply.status == StatusCode::OK)
    })
    .await;
    let given = given.unwrap();
    assert_eq!(connection.send(&step(&given), Some(7), None).await.unwrap().status, StatusCode::CREATED);
}

/// The reason for chapter 6: caps and paths of one process are unknown to another.
#[tokio::test(flavor = "multi_thread")]
async fn two_instances_double_the_cap_and_do_not_know_each_others_paths() {
    let shop = Shop::start(V5, "sqlite", 10, &[&LOOSE[..], &["--frequency-limit", "3"]].concat()).await;
    let mut args = vec!["--database-url".to_owned(), shop.database.url.to_string()];
    args.extend([&LOOSE[..], &["--frequency-limit", "3"]].concat().iter().map(|&arg| arg.to_owned()));
    let log = shop.lab.folder.path().join("second.log");
    let second = ShopProcess::start(&shop.lab.loadtest, V5, &args, log).await.unwrap();
    let mut instances = [shop.connect().await, Connection::open(second.address).await.unwrap()];
    let mut answered = 0;
    for n in 0..20 {
        let reply = instances[n % 2].send(&link("POST", "/sales/42/path"), Some(7), None).await.unwrap();
        answered += u32::from(reply.status == StatusCode::OK);
    }
    assert_eq!(answered, 6, "three for each instance, in a window of ten seconds");

    let given = instances[0].send(&link("POST", "/sales/42/path"), Some(8), None).await.unwrap();
    let elsewhere = instances[1].send(&step(&given), Some(8), None).await.unwrap();
    assert_problem(&elsewhere, 404, "wrong-path");
    assert_eq!(instances[0].send(&step(&given), Some(8), None).await.unwrap().status, StatusCode::CREATED);
    second.stop().await;
}

/// Strangers can send any number of buyer ids, but the shop remembers a limited number.
#[tokio::test(flavor = "multi_thread")]
async fn more_buyers_than_can_be_remembered_are_sent_away() {
    let shop = hidden(&["--remembered", "50"]).await;
    for buyer in 1..=50 {
        assert_eq!(shop.ask(1, buyer).await.status, StatusCode::OK);
    }
    let refused = shop.ask(1, 51).await;
    assert_problem(&refused, 503, "overloaded");
    assert_eq!(refused.headers["retry-after"], "1");
    shop.clock.advance(61_000);
    assert_eq!(shop.ask(1, 51).await.status, StatusCode::OK, "once they are forgotten");
}

/// Requests for unknown sales, however many, cost the database no more than one request.
#[tokio::test(flavor = "multi_thread")]
async fn unknown_sales_ask_the_database_nothing() {
    let shop = Shop::start(V5, "sqlite", 10, &[&LOOSE[..], &["--frequency-limit", "100000"]].concat()).await;
    let mut connection = shop.connect().await;
    let start = Instant::now();
    for sale in 1000..1300 {
        let path = format!("/sales/{sale}/path");
        let reply = connection.send(&link("POST", &path), Some(7), None).await.unwrap();
        assert_problem(&reply, 404, "wrong-path");
    }
    let at_most = 2 + start.elapsed().as_millis() as u64 / 100;
    let lookups = counters(&[shop.address()]).await.unwrap()["window_lookups"];
    assert!((1..=at_most).contains(&lookups), "{lookups} lookups in {:?}", start.elapsed());
    assert_eq!(shop.buy(7).await.status, StatusCode::CREATED);
}
