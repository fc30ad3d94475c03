//! Chapter 6 on machines with a wrong clock: its instances, Redis and PostgreSQL.

use std::{path::PathBuf, process::Command};

use crate::support::{
    HOUR, SALE, assert_problem, eventually, executable, json,
    orders::{GOOD, pay_until_known},
    production::{Production, shared},
    requests::{address, becomes, buy_at, log_in, purchase, queued, request, sells},
};
use loadtest::{
    buyer::client::{Connection, Reply},
    lab::{faketime, shop_process::ShopProcess},
    version::Version,
};
use redis::AsyncCommands;
use v1_naive::shop::sales::{Sale, now_ms};

const MINUTE: i64 = 60_000;

/// A sale that is open for ten minutes, with one machine seven minutes behind and one seven ahead: buyers notice nothing.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and faketime: make test"]
async fn a_clock_that_is_minutes_off_opens_and_closes_nothing() {
    let sale = Production::new(shared(), 5).await;
    let of = |id, opens_at, closes_at| Sale { opens_at, closes_at, ..Sale::open(id, 5) };
    let now = now_ms();
    let short = of(50, now - 5 * MINUTE, now + 5 * MINUTE);
    let (coming, over) = (of(51, now + 5 * MINUTE, now + 6 * MINUTE), of(52, now - 6 * MINUTE, now - 5 * MINUTE));
    sale.put_up(&[short, coming, over]).await;
    let (behind, ahead) = (at_another_time(&sale, "-7m").await, at_another_time(&sale, "+7m").await);

    // First, check that the clocks are wrong.
    for (shop, minutes) in [(&behind, -7), (&ahead, 7)] {
        let page = request(shop.address, "GET /sales/50", &[], "").await;
        let off = (minute_of_the_day(&page) - now_ms() / MINUTE).rem_euclid(24 * 60);
        assert!(
            [0, 1, 24 * 60 - 1].contains(&(off - minutes).rem_euclid(24 * 60)),
            "{off} minutes: {:?}",
            page.headers
        );
        let page = json(&page);
        assert!((page["server_time"].as_i64().unwrap() - now_ms()).abs() < MINUTE / 2, "and tell nobody: {page}");
    }
    for (buyer, issuer, seller) in [(1, &behind, &ahead), (2, &ahead, &behind)] {
        let cookie = log_in(issuer.address, buyer).await;
        let at = address(issuer.address, 50, &cookie).await.unwrap();
        let order_id = queued(&buy_at(seller.address, &at, &cookie, None).await);
        let mut connection = Connection::open(issuer.address).await.unwrap();
        becomes(&mut connection, buyer, order_id, "confirmed").await;
        for shop in [issuer, seller] {
            assert_problem(&purchase(shop.address, 51, &cookie, None).await, 403, "not-open");
            assert_problem(&purchase(shop.address, 52, &cookie, None).await, 410, "closed");
        }
        // The time to pay is 15 minutes by PostgreSQL's clock.
        let pay_by: i64 = sqlx::query_scalar("select pay_by from orders where id = $1")
            .bind(order_id)
            .fetch_one(&sale.pool)
            .await
            .unwrap();
        assert!((pay_by - now_ms() - 15 * MINUTE).abs() < MINUTE, "{pay_by}");
        assert_eq!(pay_until_known(seller, buyer, order_id, "key", GOOD).await.status, 200);
    }
    eventually("both are paid", async || sale.stores.read(&[50]).await.unwrap().sales[&50].left == 3).await;
    assert_eq!(sale.stores.read(&[SALE]).await.unwrap().sales[&SALE].held, 0);
}

/// What Redis has stored is then in the future.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_frequency_window_ends_although_the_clock_of_redis_was_set_back() {
    let sale = Production::new(shared(), 5).await;
    let mut args = sale.args(&["--role", "api", "--frequency-limit=1", "--frequency-window=60", "--redis-timeout=20"]);
    args.retain(|arg| arg != "--frequency-limit=1000000");
    let api = sale.instance_with(&args).await;
    let (mut redis, tries) = (sale.stores.connect().await.unwrap(), sale.stores.key(SALE, "tries"));
    let cookie = log_in(api.address, 1).await;
    queued(&purchase(api.address, SALE, &cookie, None).await);
    assert_problem(&purchase(api.address, SALE, &cookie, None).await, 429, "rate-limited");
    let later = sale.redis_ms().await + HOUR;
    let _: i64 = redis.hset(&tries, "ends", later).await.unwrap();
    assert_problem(&purchase(api.address, SALE, &cookie, None).await, 409, "limit-reached");
    let ends: i64 = redis.hget(&tries, "ends").await.unwrap();
    assert!(ends <= sale.redis_ms().await + MINUTE, "a window of its usual length");

    // Without any further attempt the leader frees it.
    let _: i64 = redis.hset(&tries, "ends", later).await.unwrap();
    let _leader = sale.instance(&["--role", "worker", "--reconcile-every", "0.1"]).await;
    eventually("it is freed", async || !redis.exists::<_, bool>(&tries).await.unwrap()).await;
}

/// The leases of a dead holder then end far in the future.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_lease_is_taken_although_the_clock_of_postgresql_was_set_back() {
    let sale = Production::new(shared(), 5).await;
    let dead = "insert into leases values ('upkeep', 'a dead process', 7, 0) on conflict (name) do nothing";
    sqlx::query(dead).execute(&sale.pool).await.unwrap();
    let later = sqlx::query("update leases set expires_at = now_ms() + $1").bind(HOUR);
    assert!(later.execute(&sale.pool).await.unwrap().rows_affected() > 1, "also the lease of the sale");
    sale.flush().await; // only holders of both leases repair that
    let shop = sale.instance(&[]).await;
    sells(shop.address, 1).await;
    sale.settles_at(1).await;
}

/// The machine's own clock: the HTTP server's `Date` header, `Sat, 21 Nov 2026 18:42:45 GMT`.
fn minute_of_the_day(reply: &Reply) -> i64 {
    let date = reply.headers["date"].to_str().unwrap();
    let time = date.split(' ').nth(4).unwrap();
    let numbers: Vec<i64> = time.split(':').map(|number| number.parse().unwrap()).collect();
    numbers[0] * 60 + numbers[1]
}

/// An instance on a machine whose clock is off by this much.
async fn at_another_time(sale: &Production, offset: &str) -> ShopProcess {
    assert!(Command::new("faketime").arg("--version").output().is_ok(), "faketime is not installed: make test does");
    faketime::remove_leftovers();
    let program: PathBuf = sale.lab.folder.path().join(format!("at{offset}"));
    let real = sale.lab.loadtest.display();
    // The monotonic clock is not affected.
    let script = format!("#!/bin/sh\nFAKETIME_DONT_FAKE_MONOTONIC=1 exec faketime -f '{offset}' '{real}' \"$@\"\n");
    executable(&program, &script);
    let log = sale.lab.folder.path().join(format!("at{offset}.log"));
    ShopProcess::start(&program, Version::V6, &sale.args(&[]), log).await.unwrap()
}
