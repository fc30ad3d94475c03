//! Chapter 6's gates, at two instances of one shop, on its real servers.

use crate::support::{
    HOUR, SALE, assert_problem, eventually, json,
    production::{Production, operate, pair, shared},
    requests::{address, assert_wrong_path, buy_at, log_in, path, purchase, queued, request},
};
use futures_util::future::join_all;
use loadtest::{buyer::client::Reply, lab::shop_process::ShopProcess};
use redis::AsyncCommands;
use v1_naive::shop::sales::{Sale, now_ms};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn paths_and_counts_outlive_the_instances_that_made_them() {
    let sale = Production::new(shared(), 5).await;
    let args = ["--frequency-limit=3", "--frequency-window=60", "--path-ttl=600"];
    let shops = counting(&sale, &args).await;
    let (mine, others) = (log_in(shops[0].address, 1).await, log_in(shops[0].address, 2).await);
    let (at, spare) = (path(&shops[0], &mine).await, path(&shops[0], &mine).await);
    let theirs = path(&shops[0], &others).await;
    queued(&buy_at(shops[1].address, &at, &mine, None).await);
    for _ in 0..2 {
        assert_problem(&buy_at(shops[0].address, &spare, &mine, None).await, 409, "limit-reached");
    }
    drop(shops); // kill -9
    let shops = counting(&sale, &args).await;
    for shop in &shops {
        assert_too_often(&buy_at(shop.address, &spare, &mine, None).await, 60);
    }
    queued(&buy_at(shops[1].address, &theirs, &others, None).await);
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn attempts_are_counted_for_each_buyer_over_all_instances() {
    let sale = Production::new(shared(), 20).await;
    let shops = counting(&sale, &["--frequency-limit=3", "--frequency-window=60"]).await;
    let (mine, others) = (log_in(shops[0].address, 501).await, log_in(shops[0].address, 502).await);
    let (at, spare) = (path(&shops[0], &mine).await, path(&shops[1], &mine).await);
    let order_id = queued(&buy_at(shops[0].address, &at, &mine, Some("a")).await);
    let again = async || {
        for shop in shops.iter().cycle().take(6) {
            assert_eq!(queued(&buy_at(shop.address, &at, &mine, Some("a")).await), order_id);
        }
    };
    again().await; // which is not counted
    assert_problem(&buy_at(shops[1].address, &spare, &mine, None).await, 409, "limit-reached");
    assert_wrong_path(&buy_at(shops[0].address, &at, &mine, Some("b")).await);
    for (shop, key) in shops.iter().cycle().zip([None, None, Some("c"), Some("d")]) {
        assert_too_often(&buy_at(shop.address, &spare, &mine, key).await, 60);
    }
    again().await;
    sale.settles_at(1).await;

    // Another buyer has its own count, here with twenty clicks at the same moment.
    let at = path(&shops[0], &others).await;
    let clicks = (0..20).map(|n| buy_at(shops[n % 2].address, &at, &others, None));
    let (no, counted): (Vec<_>, Vec<_>) = join_all(clicks).await.into_iter().partition(|reply| reply.status == 429);
    let mut counted: Vec<u16> = counted.iter().map(|reply| reply.status.as_u16()).collect();
    counted.sort_unstable();
    assert_eq!((counted, no.len()), (vec![202, 404, 404], 17));
    no.iter().for_each(|reply| assert_too_often(reply, 60));
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_while_later_a_buyer_may_try_again() {
    let sale = Production::new(shared(), 5).await;
    let shops = counting(&sale, &["--frequency-limit=1", "--frequency-window=2"]).await;
    let cookie = log_in(shops[0].address, 601).await;
    let at = path(&shops[0], &cookie).await;
    queued(&buy_at(shops[0].address, &at, &cookie, None).await);
    let mut seen = Vec::new();
    eventually("refused, and then let in again", async || {
        let reply = buy_at(shops[seen.len() % 2].address, &at, &cookie, None).await;
        match reply.status.as_u16() {
            429 => assert_too_often(&reply, 2),
            _ => assert_wrong_path(&reply),
        }
        seen.push(reply.status.as_u16());
        seen.ends_with(&[429, 404])
    })
    .await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sale_opens_and_closes_by_the_clock_of_redis() {
    let sale = Production::new(shared(), 5).await;
    // No worker runs, because it would repair what is written into Redis by hand below.
    let shops = pair(&sale, &["--role", "api"]).await;
    let cookie = log_in(shops[0].address, 801).await;
    let opens_at = sale.redis_ms().await + 2000;
    sale.put_up(&[Sale { opens_at, ..Sale::open(50, 5) }]).await;
    for shop in &shops {
        eventually("it has opened", async || {
            let reply = address(shop.address, 50, &cookie).await;
            match &reply {
                Ok(_) => assert!(sale.redis_ms().await + 250 >= opens_at, "too early"),
                Err(refusal) => assert_problem(refusal, 403, "not-open"),
            }
            reply.is_ok()
        })
        .await;
    }
    // An instance's clock may be ahead of Redis's.
    let bought = async || {
        let reply = purchase(shops[0].address, 50, &cookie, None).await;
        match reply.status.as_u16() {
            403 => assert_problem(&reply, 403, "not-open"),
            503 => assert_problem(&reply, 503, "overloaded"), // it has read the sale when it was in SQL only
            _ => assert!(queued(&reply) > 0 && sale.redis_ms().await >= opens_at, "too early"),
        }
        reply.status == 202
    };
    eventually("it has opened in Redis", bought).await;

    // Redis decides this, whatever an instance has cached.
    let at = path(&shops[0], &cookie).await;
    let (mut redis, key) = (sale.stores.connect().await.unwrap(), sale.stores.key(SALE, "sale"));
    let (soon, before) = (now_ms() + HOUR, now_ms() - 1);
    for (field, time, status, kind) in [("opens_at", soon, 403, "not-open"), ("closes_at", before, 410, "closed")] {
        let was: i64 = redis.hget(&key, field).await.unwrap();
        let _: () = redis.hset(&key, field, time).await.unwrap();
        for (shop, key) in shops.iter().cycle().zip([None, None, Some("key"), Some("key")]) {
            let page = json(&request(shop.address, "GET /sales/42", &[], "").await);
            let [opens, now, closes] = ["opens_at", "server_time", "closes_at"].map(|time| page[time].as_i64());
            assert!(opens <= now && now < closes, "{page}");
            assert_problem(&buy_at(shop.address, &at, &cookie, key).await, status, kind);
        }
        sale.settles_at(0).await;
        let _: () = redis.hset(&key, field, was).await.unwrap();
    }
    queued(&buy_at(shops[1].address, &at, &cookie, None).await);
    let _worker = sale.instance(&["--role", "worker"]).await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn who_is_on_the_deny_list_gets_nothing() {
    let sale = Production::new(shared(), 5).await;
    let shops = pair(&sale, &["--path-ttl", "600"]).await;
    let (mine, others) = (log_in(shops[0].address, 901).await, log_in(shops[0].address, 902).await);
    let (at, theirs) = (path(&shops[0], &mine).await, path(&shops[0], &others).await);
    let order_id = queued(&buy_at(shops[0].address, &theirs, &others, Some("a")).await);
    let list = async || -> Vec<(i64, String)> {
        sqlx::query_as("select buyer_id, name from denied order by name").fetch_all(&sale.pool).await.unwrap()
    };
    for name in ["901", " 902 ", "901"] {
        operate(&sale, &["deny", name]);
    }
    let names = ["901", "902"].map(|name| (v6_production::buyer_id(name), name.to_owned()));
    assert_eq!(list().await, names);
    for (shop, key) in [(&shops[0], None), (&shops[1], None), (&shops[0], Some("b")), (&shops[1], Some("b"))] {
        assert_problem(&buy_at(shop.address, &at, &mine, key).await, 403, "blocked");
        assert_problem(&purchase(shop.address, SALE, &others, key).await, 403, "blocked");
        // Earlier promises are kept.
        assert_eq!(queued(&buy_at(shop.address, &theirs, &others, Some("a")).await), order_id);
    }
    // This also applies to a sale that is created later.
    sale.put_up(&[Sale::open(43, 5)]).await;
    let known = async || purchase(shops[1].address, 43, &mine, None).await.status != 503;
    eventually("the new sale is known", known).await;
    assert_problem(&purchase(shops[1].address, 43, &mine, None).await, 403, "blocked");
    sale.settles_at(1).await;

    operate(&sale, &["deny", "901", "--lift"]);
    assert_eq!(list().await, names[1..]);
    assert_problem(&purchase(shops[1].address, 43, &others, None).await, 403, "blocked");
    queued(&buy_at(shops[1].address, &at, &mine, None).await);
    sale.settles_at(2).await;
}

/// Two instances that count attempts by their own arguments, not by those of all tests.
async fn counting(sale: &Production, args: &[&str]) -> [ShopProcess; 2] {
    let mut args = sale.args(args);
    args.retain(|arg| arg != "--frequency-limit=1000000");
    [sale.instance_with(&args).await, sale.instance_with(&args).await]
}

/// Asserts a `rate-limited` answer whose `Retry-After` is at most `window` seconds.
#[track_caller]
fn assert_too_often(reply: &Reply, window: u64) {
    assert_problem(reply, 429, "rate-limited");
    let wait: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=window).contains(&wait), "{wait}");
}
