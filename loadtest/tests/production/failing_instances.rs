//! Instances behind nginx that are killed, hang or wait for Redis.

use std::{sync::Arc, time::Duration};

use crate::support::{
    SALE, assert_problem, eventually, json,
    production::{Production, shared},
    requests::{address, buy_at, log_in, request},
};
use loadtest::{
    buyer::{
        crowd::{self, Crowd},
        progress::Progress,
    },
    fault::network::Network,
    lab::servers::Server,
    verdict::{audit::audit, ledger::Ledger},
};
use tokio::time::Instant;

/// Three instances; one of them is killed while a crowd buys, and stays dead.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn an_instance_that_is_killed_costs_no_promise() {
    let stock = 1500;
    let sale = Production::new(shared(), stock).await;
    let args = ["--trusted-proxies", "127.0.0.1", "--path-ttl", "600"];
    let mut shops = Vec::new();
    for _ in 0..3 {
        shops.push(sale.instance(&args).await);
    }
    let nginx = sale.nginx(&shops.iter().collect::<Vec<_>>()).await;
    let crowd = Crowd {
        shops: vec![nginx.address],
        sales: vec![SALE],
        buyers: 3000,
        connections: 200,
        seed: 1,
        opens_the_page: true,
        ..Crowd::default()
    };
    let progress = Progress::default();
    let strike = async {
        let bought = Arc::clone(&progress);
        eventually("the crowd has lined up", async || bought.began_at().is_some()).await;
        eventually("a third is sold", async || {
            bought.bought.load(std::sync::atomic::Ordering::Relaxed) as i64 > stock / 3
        })
        .await;
        shops[0].kill().await.unwrap();
    };
    let (stampede, ()) = tokio::join!(crowd::run(&crowd, Arc::clone(&progress), async || {}), strike);
    let stampede = stampede.unwrap();
    sale.stores.wait_until_quiet(&sale.pool, &[SALE]).await.unwrap();
    let ledger = Ledger::read(&sale.pool, Some(&sale.stores), &[SALE]).await.unwrap();
    let found = audit(&stampede.history, &ledger);
    assert!(found.is_sound(), "{found:?}");
    assert_eq!((found.oversold, found.lost_promises, found.orders), (0, 0, stock), "{found:?}");
}

/// All instances wait for the same Redis. If nginx gave up first, it would leave all of them out, and buyers of every sale would be
/// turned away.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn instances_that_wait_for_redis_do_not_count_as_dead() {
    let sale = Production::new(shared(), 5).await;
    let redis = Network::to(&sale.stores.redis).await.unwrap();
    let args =
        sale.args_with(Server::Redis, &redis.instead_of(&sale.stores.redis), &["--trusted-proxies", "127.0.0.1"]);
    let shops = [sale.instance_with(&args).await, sale.instance_with(&args).await];
    let nginx = sale.nginx(&shops.each_ref()).await;
    let mut ready = Vec::new();
    for buyer in 1..=4 {
        let cookie = log_in(nginx.address, buyer).await;
        ready.push((address(nginx.address, SALE, &cookie).await.unwrap(), cookie));
    }
    redis.silence();
    let (door, began) = (nginx.address, Instant::now());
    let buying: Vec<_> = ready
        .into_iter()
        .map(|(address, cookie)| {
            tokio::spawn(async move { (buy_at(door, &address, &cookie, Some("once")).await, began.elapsed()) })
        })
        .collect();
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while began.elapsed() < Duration::from_secs(8) {
        pace.tick().await;
        let reply = request(door, "GET /openapi.json", &[], "").await;
        assert_eq!(reply.status, 200, "after {:?}", began.elapsed());
    }
    redis.restore();
    let mut never_sent = 0;
    for one in buying {
        let (reply, took) = one.await.unwrap();
        assert!(took >= Duration::from_secs(8), "each instance still waits for Redis: {took:?}");
        match (reply.status.as_u16(), json(&reply)["type"].as_str()) {
            (202, _) => {}
            // The third buyer at one instance waits until a call is over, and may then have waited for too long.
            (_, Some("overloaded")) => {
                assert_problem(&reply, 503, "overloaded");
                never_sent += 1;
            }
            _ => assert_problem(&reply, 503, "timed-out"),
        }
    }
    assert!(never_sent <= 2, "{never_sent} were never sent to Redis");
}

/// A listener that accepts connections and does not answer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis, RabbitMQ and nginx: make test"]
async fn an_instance_that_hangs_keeps_nobody_waiting_for_long() {
    let sale = Production::new(shared(), 5).await;
    let args = ["--trusted-proxies", "127.0.0.1"];
    let (hangs, works) = (sale.instance(&args).await, sale.instance(&args).await);
    let nginx = sale.nginx(&[&hangs, &works]).await;
    hangs.freeze().unwrap();
    let (began, mut longest, mut answered) = (Instant::now(), Duration::ZERO, 0);
    // Quick answers in a row, and the most of them. Whoever waits for the instance that hangs waits for twelve seconds, and then nginx
    // leaves it out for a second or two. A machine that stands still for so long gets another chance.
    let (mut in_a_row, mut most) = (0, 0);
    let mut pace = tokio::time::interval(Duration::from_millis(50)); // as fast as the rate limits allow
    while began.elapsed() < Duration::from_secs(20) || most <= 10 && began.elapsed() < Duration::from_secs(120) {
        pace.tick().await;
        let asked = Instant::now();
        let line = ["GET /openapi.json", "POST /session"][answered % 2];
        let reply = request(nginx.address, line, &[], r#"{"name": "x"}"#).await;
        let took = asked.elapsed();
        longest = longest.max(took);
        in_a_row = if took < Duration::from_secs(6) { in_a_row + 1 } else { 0 };
        match reply.status.as_u16() {
            200 => (answered, most) = (answered + 1, most.max(in_a_row)),
            _ => assert_problem(&reply, 503, "timed-out"), // the instance may have received it
        }
    }
    hangs.thaw().unwrap();
    // Twelve seconds, plus some for a busy machine.
    assert!(longest < Duration::from_secs(18), "a buyer has waited for {longest:?}");
    assert!(most > 10, "{most} quick answers in a row, {answered} in all");
}
