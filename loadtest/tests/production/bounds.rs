//! Chapter 6 stores a bounded amount for strangers, and its cached state expires.

use std::time::{Duration, Instant};

use crate::support::{
    SALE, assert_problem, eventually, json,
    orders::{DECLINED, GOOD, heard, pay_until_known, payments, watch},
    production::{Production, held, pair, shared},
    proxy::Proxy,
    requests::{assert_wrong_path, buy_at, counter, log_in, path, purchase, queued, request},
};
use futures_util::future::join_all;
use loadtest::lab::{servers::Server, shop_process::ShopProcess};
use redis::AsyncCommands;
use tokio::{task::JoinSet, time::interval};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn more_buyers_than_can_be_counted_are_told_to_come_back() {
    let sale = Production::new(shared(), 20).await;
    // A call to Redis that takes too long is repeated, and not counted a second time.
    let args = ["--frequency-buyers", "5", "--frequency-window", "3600", "--redis-timeout", "20"];
    let shops = pair(&sale, &args).await;
    let cookies = join_all((701..=706).map(|buyer| log_in(shops[0].address, buyer))).await;
    let (first, sixth) = (&cookies[0], &cookies[5]);
    for (shop, cookie) in shops.iter().cycle().zip(&cookies[..5]) {
        queued(&purchase(shop.address, SALE, cookie, None).await);
    }
    for shop in shops.iter().cycle().take(4) {
        let reply = purchase(shop.address, SALE, sixth, None).await;
        assert_problem(&reply, 503, "overloaded");
        assert!(reply.headers.contains_key("retry-after"));
    }
    let (mut redis, tries) = (sale.stores.connect().await.unwrap(), sale.stores.key(SALE, "tries"));
    let counted: i64 = redis.hlen(&tries).await.unwrap();
    assert_eq!(counted, 5 + 1, "buyers that take memory, and the end of the window");
    assert_problem(&purchase(shops[0].address, SALE, first, None).await, 409, "limit-reached");
    sale.settles_at(5).await;
    let _: i64 = redis.hset(&tries, "ends", 0).await.unwrap();
    let buys = async || purchase(shops[0].address, SALE, sixth, None).await.status == 202;
    eventually("the counts have begun anew", buys).await;
    sale.settles_at(6).await;
}

/// Redis frees an expired hash at once, and answers nothing meanwhile: 27 to 44 ms with 200,000 counts.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_counts_of_a_window_are_freed_in_the_background_and_not_by_their_expiry() {
    let sale = Production::new(shared(), 5).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let tries = sale.stores.key(SALE, "tries");
    let api = sale.instance(&["--role", "api", "--frequency-window", "1"]).await;
    let cookie = log_in(api.address, 707).await;
    let mut ends = async || -> i64 {
        purchase(api.address, SALE, &cookie, None).await; // also a refused attempt counts
        let (ends, lives): (i64, i64) =
            redis::pipe().hget(&tries, "ends").pttl(&tries).query_async(&mut redis).await.unwrap();
        assert!(lives > 10_000, "it lives {lives} ms: longer than its window, so it does not expire first");
        ends
    };
    let first = ends().await;
    eventually("an attempt begins the next window", async || ends().await > first).await;
    assert!(sale.redis_ms().await < first + 10_000, "the first window's hash had not expired");

    // Without any further attempt the leader frees it.
    let _leader = sale.instance(&["--role", "worker", "--reconcile-every", "0.1"]).await;
    let mut redis = sale.stores.connect().await.unwrap();
    eventually("it is freed", async || !redis.exists::<_, bool>(&tries).await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_has_a_limited_number_of_websockets_and_payments() {
    let sale = Production::new(shared(), 5).await;
    let shops = pair(&sale, &[]).await;
    let cookie = log_in(shops[0].address, 1301).await;
    let order_id = queued(&purchase(shops[0].address, SALE, &cookie, None).await);
    sale.settles_at(1).await;
    let open = async || watch(&shops[0], 1301, order_id).await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(open().await.unwrap());
    }
    assert_eq!(open().await.err(), Some(503));
    sockets.pop(); // closes one
    eventually("there is room again", async || open().await.map(|socket| sockets.push(socket)).is_ok()).await;
    assert_eq!(open().await.err(), Some(503));
    for socket in &mut sockets {
        assert_eq!(heard(socket).await, "confirmed");
    }

    for n in 0..20 {
        let reply = pay_until_known(&shops[n % 2], 1301, order_id, &n.to_string(), DECLINED).await;
        assert_problem(&reply, 402, "declined");
    }
    for shop in &shops {
        for card in [DECLINED, GOOD] {
            assert_problem(&pay_until_known(shop, 1301, order_id, "20", card).await, 409, "limit-reached");
        }
        for key in ["0", "19"] {
            assert_problem(&pay_until_known(shop, 1301, order_id, key, DECLINED).await, 402, "declined");
        }
    }
    // A payment that was interrupted is finished, even if there is no room for another one.
    sqlx::query("update payments set answer = null, owes = 'authorise'").execute(&sale.pool).await.unwrap();
    assert_problem(&pay_until_known(&shops[0], 1301, order_id, "7", DECLINED).await, 402, "declined");
    assert_eq!((payments(&sale).await, sale.orders("confirmed").await), (20, 1));
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn when_many_wait_for_redis_some_are_told_to_come_back_at_once() {
    const CROWD: usize = 200;
    let sale = Production::new(shared(), 500).await;
    let proxy = Proxy::to(&sale.stores.redis).await;
    let mut args = sale.args(&["--role", "api", "--waiting", "40", "--redis-timeout", "20"]);
    let at = args.iter().position(|arg| arg == "--redis-url").unwrap();
    args[at + 1] = proxy.instead_of(&sale.stores.redis).to_string();
    let (shop, _worker) = (sale.instance_with(&args).await, sale.instance(&["--role", "worker"]).await);
    // One buyer buys before, so that Redis has the script cached.
    queued(&purchase(shop.address, SALE, &log_in(shop.address, 1400).await, None).await);
    let cookies = join_all((1401..).take(CROWD).map(|buyer| log_in(shop.address, buyer))).await;
    let paths = join_all(cookies.iter().map(|cookie| path(&shop, cookie))).await;

    proxy.hold_answers(true);
    let (mut buying, of) = (JoinSet::new(), shop.address);
    for (n, (cookie, at)) in cookies.into_iter().zip(paths).enumerate() {
        buying.spawn(async move { buy_at(of, &at, &cookie, None).await });
        // The first two take a call to Redis each, and no other call is made until they have their answers.
        if n < 2 {
            eventually("it is asked for", async || held(&sale).await as usize == n + 2).await;
        }
    }
    let mut refused = Vec::new();
    eventually("each one has reached the shop, and waits, is being asked for, or was refused", async || {
        while let Some(reply) = buying.try_join_next() {
            refused.push(reply.unwrap());
        }
        refused.len() + counter(of, "attempts_waiting ").await as usize == CROWD
    })
    .await;
    assert_eq!(held(&sale).await, 3, "the others wait");
    let waiting = CROWD - refused.len() - 2;
    assert!((21..=40).contains(&waiting), "{waiting} wait, and {} were refused", refused.len());
    for reply in &refused {
        assert_problem(reply, 503, "overloaded");
        assert!(reply.headers.contains_key("retry-after"));
    }
    let metrics = request(shop.address, "GET /metrics", &[], "").await;
    let metrics = String::from_utf8_lossy(&metrics.body);
    assert!(metrics.contains("early_refusals_total"), "some before all places were taken");
    proxy.hold_answers(false);
    let served = buying.join_all().await;
    served.iter().for_each(|reply| assert!(queued(reply) > 0));
    assert_eq!(served.len() + refused.len(), CROWD);
    sale.settles_at(1 + served.len()).await;
}

/// nginx leaves out an instance that does not answer within 12 s. Two calls to Redis are under way at most, so the third buyer's
/// attempt is never sent.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn while_redis_is_silent_no_buyer_waits_for_the_calls_of_others_and_then_for_its_own() {
    let sale = Production::new(shared(), 5).await;
    let proxy = Proxy::to(&sale.stores.redis).await;
    let further = ["--role", "api", "--redis-timeout", "20"];
    let args = sale.args_with(Server::Redis, &proxy.instead_of(&sale.stores.redis), &further);
    let shop = sale.instance_with(&args).await;
    let cookies = join_all((1601..=1603).map(|buyer| log_in(shop.address, buyer))).await;
    let paths = join_all(cookies.iter().map(|cookie| path(&shop, cookie))).await;

    proxy.hold_answers(true);
    let (began, mut buying, of) = (Instant::now(), JoinSet::new(), shop.address);
    for (n, (cookie, at)) in cookies.into_iter().zip(paths).enumerate() {
        buying.spawn(async move { buy_at(of, &at, &cookie, None).await });
        let waiting = async || counter(of, "attempts_waiting ").await;
        eventually("the attempt waits", async || waiting().await == n as i64 + 1).await;
    }
    let replies = buying.join_all().await;
    // 11 s, and time for a busy machine. One call after another would take 20 s at least.
    assert!(began.elapsed() < Duration::from_secs(18), "{:?}", began.elapsed());
    for reply in &replies {
        let kind = json(reply)["type"].as_str().unwrap().to_owned();
        assert!(["timed-out", "overloaded"].contains(&kind.as_str()), "{kind}");
        assert_problem(reply, 503, &kind);
        assert!(reply.headers.contains_key("retry-after"));
    }
    proxy.hold_answers(false);
}

/// Also a request that runs out of time somewhere else gets the answer that the contract has for an unknown result.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_request_that_runs_out_of_time_is_told_to_come_back() {
    let sale = Production::new(shared(), 5).await;
    let proxy = Proxy::to(&sale.stores.redis).await;
    let further = ["--role", "api", "--redis-timeout", "20", "--request-timeout", "3"];
    let args = sale.args_with(Server::Redis, &proxy.instead_of(&sale.stores.redis), &further);
    let shop = sale.instance_with(&args).await;
    let cookie = log_in(shop.address, 1701).await;
    let at = path(&shop, &cookie).await;
    proxy.hold_answers(true);
    let reply = buy_at(shop.address, &at, &cookie, None).await;
    assert_problem(&reply, 503, "timed-out");
    assert!(reply.headers.contains_key("retry-after"));
    proxy.hold_answers(false);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_wrong_sold_out_flag_expires() {
    let sale = Production::new(shared(), 2).await;
    let shops = pair(&sale, &["--path-ttl", "600"]).await;
    let [one, two, three] = [1501, 1502, 1503].map(|buyer| log_in(shops[0].address, buyer));
    let (one, two, three) = tokio::join!(one, two, three);
    let (at_1, at_2, at_3) = tokio::join!(path(&shops[0], &one), path(&shops[0], &two), path(&shops[0], &three));
    let (mut redis, channel) = (sale.stores.connect().await.unwrap(), format!("{}:stock", sale.stores.namespace));
    let liar = tokio::spawn(async move {
        let mut again = interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            let _: i64 = redis.publish(&channel, format!("sold-out {SALE}")).await.unwrap();
        }
    });
    for shop in &shops {
        // A wrong path: it buys nothing if the flag has lapsed.
        let believes = async || {
            let reply = buy_at(shop.address, &format!("{at_1}0"), &one, None).await;
            match reply.status.as_u16() {
                409 => assert_problem(&reply, 409, "sold-out"),
                _ => assert_wrong_path(&reply),
            }
            reply.status == 409
        };
        eventually("it is believed", believes).await;
    }
    // A request with a key may be a retry, and only Redis knows.
    let first = queued(&buy_at(shops[0].address, &at_2, &two, Some("key")).await);
    sale.settles_at(1).await;
    liar.abort();
    let buys = async |shop: &ShopProcess, at: &str, cookie: &str| buy_at(shop.address, at, cookie, None).await;
    eventually("it has lapsed", async || buys(&shops[1], &at_1, &one).await.status == 202).await;
    sale.settles_at(2).await;

    for shop in &shops {
        assert_problem(&buys(shop, &at_3, &three).await, 409, "sold-out");
    }
    sale.expire_order(first).await;
    eventually("a unit is sold again", async || buys(&shops[1], &at_3, &three).await.status == 202).await;
    sale.settles_at(2).await;
    assert_eq!(sale.orders("expired").await, 1);
}
