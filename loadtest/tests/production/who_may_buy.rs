//! Chapter 6's gates, at two instances of one shop, on its real servers.

use crate::support::{
    SALE, assert_problem, eventually, json,
    orders::{GOOD, card, pay, payments},
    production::{
        Production, address, assert_wrong_path, buy_at, held, log_in, operate, pair, path, purchase, queued, request,
        shared,
    },
};
use futures_util::future::join_all;
use loadtest::lab::shop_process::ShopProcess;
use loadtest::{
    buyer::client::Reply,
    provider::{
        Remote,
        Standing::{Authorised, Captured},
    },
};
use redis::AsyncCommands;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, client::IntoClientRequest},
};
use v1_naive::shop::sales::{Sale, now_ms};

const HOUR: i64 = 3_600_000;

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
async fn a_path_is_its_buyers_for_its_sale_and_once() {
    let sale = Production::new(shared(), 5).await;
    sale.stores.put_up(&sale.database.url, &[Sale::open(43, 5)]).await.unwrap();
    let shops = pair(&sale, &["--path-ttl", "600"]).await;
    let (mine, others) = (log_in(shops[0].address, 101).await, log_in(shops[1].address, 102).await);
    let at = path(&shops[0], &mine).await;
    let digits = at.strip_prefix("/sales/42/purchase/").unwrap();
    let elsewhere = address(shops[0].address, 43, &mine).await.unwrap().replace("/43/", "/42/");
    let mut wrong = vec![elsewhere, at.replace("/42/", "/43/")];
    wrong.extend([1, 2, 16, 32, 46, 47].map(|length| format!("/sales/42/purchase/{}", &digits[..length])));
    wrong.extend(["0", "00", "%00", "%2f"].map(|more| format!("{at}{more}")));
    wrong.extend((0..48).map(|place| {
        let mut forged = digits.to_owned();
        let digit = char::from(digits.as_bytes()[place]).to_digit(16).unwrap() ^ 1 << fastrand::u32(..4);
        forged.replace_range(place..=place, &format!("{digit:x}"));
        format!("/sales/42/purchase/{forged}")
    }));
    for shop in &shops {
        for (wrong, key) in wrong.iter().zip([None, Some("key")].into_iter().cycle()) {
            assert_wrong_path(&buy_at(shop.address, wrong, &mine, key).await);
        }
        for stripped in ["/sales/42/purchase", "/sales/42/purchase/"] {
            assert_problem(&buy_at(shop.address, stripped, &mine, None).await, 404, "not-found");
        }
        assert_wrong_path(&buy_at(shop.address, &at, &others, None).await);
    }
    sale.settles_at(0).await;

    let twice = join_all(shops.each_ref().map(|shop| buy_at(shop.address, &at, &mine, None))).await;
    let (yes, no): (Vec<_>, Vec<_>) = twice.iter().partition(|reply| reply.status == 202);
    assert_eq!(yes.len(), 1, "{twice:?}");
    assert_wrong_path(no[0]);
    for at in [&at, &format!("/sales/42/purchase/{}", digits.to_uppercase())] {
        for (shop, key) in [(&shops[0], None), (&shops[1], None), (&shops[1], Some("key"))] {
            assert_wrong_path(&buy_at(shop.address, at, &mine, key).await);
        }
    }
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_path_ends_by_the_clock_of_redis() {
    let sale = Production::new(shared(), 5).await;
    let shops = pair(&sale, &["--path-ttl", "1"]).await;
    let cookie = log_in(shops[0].address, 201).await;
    let at = path(&shops[0], &cookie).await;
    let issued = i64::from_str_radix(&at[at.len() - 48..][..16], 16).unwrap() >> 12;
    eventually("the path has ended", async || redis_ms(&sale).await >= issued + 1000).await;
    for shop in &shops {
        for key in [None, Some("key")] {
            assert_wrong_path(&buy_at(shop.address, &at, &cookie, key).await);
        }
    }
    sale.settles_at(0).await;
    let buys = async || purchase(shops[1].address, SALE, &cookie, None).await.status == 202;
    eventually("a new path is used in time", buys).await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn who_did_not_pay_may_buy_again_but_not_at_the_old_path() {
    let sale = Production::new(shared(), 5).await;
    let shops = pair(&sale, &["--path-ttl", "600"]).await;
    let cookie = log_in(shops[0].address, 301).await;
    let old = path(&shops[0], &cookie).await;
    let first = queued(&buy_at(shops[0].address, &old, &cookie, Some("a")).await);
    sale.settles_at(1).await;
    sqlx::query("update orders set pay_by = 0 where id = $1").bind(first).execute(&sale.pool).await.unwrap();
    eventually("it is given back", async || held(&sale).await == 0).await;
    let refused = async || {
        for (shop, key) in [(&shops[0], None), (&shops[1], None), (&shops[1], Some("b"))] {
            assert_wrong_path(&buy_at(shop.address, &old, &cookie, key).await);
        }
    };
    refused().await;
    let repeated = async || queued(&buy_at(shops[0].address, &old, &cookie, Some("a")).await);
    assert_eq!(repeated().await, first, "the same request is the same order, whatever became of it");
    let second = path(&shops[1], &cookie).await;
    operate(&sale, &["rebuild"]); // Redis forgets all, and is told by SQL
    for shop in &shops {
        let known = async || buy_at(shop.address, &old, &cookie, None).await.status != 503;
        eventually("the new epoch is known", known).await;
    }
    refused().await;
    sale.settles_at(0).await;
    queued(&buy_at(shops[0].address, &second, &cookie, None).await);
    refused().await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn two_paths_of_one_buyer_are_worth_one_unit() {
    let sale = Production::new(shared(), 60).await;
    let shops = pair(&sale, &[]).await;
    for buyer in 401..421 {
        let cookie = log_in(shops[0].address, buyer).await;
        let buying = async |shop: &ShopProcess, at: String| buy_at(shop.address, &at, &cookie, None).await;
        let (one, other) = (path(&shops[0], &cookie).await, path(&shops[1], &cookie).await);
        let (one, other) = tokio::join!(buying(&shops[0], one), buying(&shops[1], other));
        let (yes, no) = if one.status == 202 { (one, other) } else { (other, one) };
        queued(&yes);
        assert_problem(&no, 409, "limit-reached");
    }
    sale.settles_at(20).await;
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

    // Another buyer has a count of his own; with twenty clicks in the same moment.
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
    // Nobody who carries: what is written into Redis by hand below would be mended.
    let shops = pair(&sale, &["--role", "api"]).await;
    let cookie = log_in(shops[0].address, 801).await;
    let opens_at = redis_ms(&sale).await + 2000;
    sale.stores.put_up(&sale.database.url, &[Sale { opens_at, ..Sale::open(50, 5) }]).await.unwrap();
    for shop in &shops {
        eventually("it has opened", async || {
            let reply = address(shop.address, 50, &cookie).await;
            match &reply {
                Ok(_) => assert!(redis_ms(&sale).await + 250 >= opens_at, "too early"),
                Err(refusal) => assert_problem(refusal, 403, "not-open"),
            }
            reply.is_ok()
        })
        .await;
    }
    queued(&purchase(shops[0].address, 50, &cookie, None).await);

    // And Redis says so, whatever an instance believes.
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
    let shops = pair(&sale, &[]).await;
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
        // What was promised before is kept.
        assert_eq!(queued(&buy_at(shop.address, &theirs, &others, Some("a")).await), order_id);
    }
    // Also in a sale that is put up later.
    sale.stores.put_up(&sale.database.url, &[Sale::open(43, 5)]).await.unwrap();
    assert_problem(&purchase(shops[1].address, 43, &mine, None).await, 403, "blocked");
    sale.settles_at(1).await;

    operate(&sale, &["deny", "901", "--lift"]);
    assert_eq!(list().await, names[1..]);
    assert_problem(&purchase(shops[1].address, 43, &others, None).await, 403, "blocked");
    queued(&buy_at(shops[1].address, &at, &mine, None).await);
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_secret_is_changed_and_nobody_is_logged_out() {
    let sale = Production::new(shared(), 5).await;
    let (old, new) = ("the old secret of 32 bytes or more", "the new secret of 32 bytes or more");
    let signs_old = sale.instance(&["--session-secret", old, "--other-secrets", new]).await;
    let signs_new = sale.instance(&["--session-secret", new, "--other-secrets", old]).await;
    let knows_new = sale.instance(&["--session-secret", new]).await;
    let (early, late) = (log_in(signs_old.address, 1001).await, log_in(signs_new.address, 1002).await);
    let (at, mixed) = (path(&signs_old, &early).await, path(&signs_old, &late).await);
    assert_problem(&address(knows_new.address, SALE, &early).await.unwrap_err(), 401, "unauthenticated");
    assert_problem(&buy_at(knows_new.address, &at, &early, None).await, 401, "unauthenticated");
    assert_wrong_path(&buy_at(knows_new.address, &mixed, &late, None).await);
    sale.settles_at(0).await;

    let first = queued(&buy_at(signs_new.address, &at, &early, None).await);
    let second = queued(&buy_at(signs_new.address, &mixed, &late, None).await);
    let last = log_in(knows_new.address, 1003).await;
    queued(&buy_at(signs_old.address, &path(&signs_new, &last).await, &last, None).await);
    sale.settles_at(3).await;

    // A session says who, wherever it is brought to, and nothing else does.
    let look = async |shop: &ShopProcess, cookie: &str, order_id: i64| {
        let headers = [("cookie", cookie), ("x-buyer-id", "1002"), ("authorization", "Bearer 1002")];
        request(shop.address, &format!("GET /orders/{order_id}"), &headers, "").await.status.as_u16()
    };
    for shop in [&signs_old, &signs_new] {
        let statuses = [("", second), (&*early, first), (&early, second), (&late, first), (&late, second)];
        let statuses = join_all(statuses.map(|(cookie, order_id)| look(shop, cookie, order_id))).await;
        assert_eq!(statuses, [401, 200, 404, 404, 200]);
    }
    assert_eq!((look(&knows_new, &early, first).await, look(&knows_new, &late, second).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn nobody_sees_or_pays_the_order_of_somebody_else() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let (mine, stranger) = (log_in(shop.address, 1101).await, log_in(shop.address, 1102).await);
    let order_id = queued(&purchase(shop.address, SALE, &mine, None).await);
    let look = async |shop: &ShopProcess, order_id: i64| {
        request(shop.address, &format!("GET /orders/{order_id}"), &[("cookie", &stranger)], "").await
    };
    let none = look(&shop, order_id + 1).await;
    let refused = async |shop: &ShopProcess| {
        let (a, b) = (pay(shop, 1102, order_id, Some("a"), GOOD), pay(shop, 1102, order_id, Some("b"), GOOD));
        for reply in [look(shop, order_id).await, a.await, b.await] {
            assert_problem(&reply, 404, "not-found");
            assert_eq!(reply.body, none.body, "as if there were no such order");
        }
    };
    refused(&shop).await; // queued
    let other = sale.instance(&[]).await;
    sale.settles_at(1).await;
    refused(&other).await; // confirmed
    assert_eq!(pay(&shop, 1101, order_id, Some("a"), GOOD).await.status, 200);
    refused(&shop).await; // paid, and "a" is a key that is taken
    refused(&other).await;
    assert_eq!(pay(&other, 1101, order_id, Some("a"), GOOD).await.status, 200);
    let did = sale.movements(&Remote::new(&sale.stores.provider)).await;
    assert_eq!(did, [[Authorised, Captured]]);
    assert_eq!((payments(&sale).await, sale.orders("paid").await), (1, 1));
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn no_other_site_makes_a_browser_buy() {
    let sale = Production::new(shared(), 9).await;
    let shops = [sale.instance(&[]).await, sale.instance(&["--origins", "https://shop.example"]).await];
    let hosts = shops.each_ref().map(|shop| format!("http://{}", shop.address));
    let [evil, null, named, other, first, second] =
        ["http://evil.example", "null", "https://shop.example", "http://shop.example", &hosts[0], &hosts[1]]
            .map(|site| ("origin", site));
    let silent = ("sec-fetch-site", "cross-site");
    let cases = [(first, [evil, null, silent, named, second]), (named, [evil, null, silent, first, other])];
    for (n, (shop, (ours, theirs))) in shops.iter().zip(cases).enumerate() {
        let owner = log_in(shop.address, 1201 + n as i64).await;
        let order_id = queued(&purchase(shop.address, SALE, &owner, None).await);
        let buyer = log_in(shop.address, 1211 + n as i64).await;
        let (buy, pays) = (format!("POST {}", path(shop, &buyer).await), format!("POST /orders/{order_id}/payment"));
        let card = card(GOOD);
        let doors = [
            ("POST /session", "", r#"{"name": "1220"}"#, 200),
            ("POST /sales/42/path", &owner, "", 200),
            (&buy, &buyer, "", 202),
            (&pays, &owner, &card, 200),
        ];
        sale.settles_at(2 * n + 1).await;
        for header in theirs {
            for (line, cookie, body, _) in doors {
                let headers = [("cookie", cookie), ("idempotency-key", "a"), header];
                let reply = request(shop.address, line, &headers, body).await;
                assert_problem(&reply, 403, "cross-site");
                assert!(!reply.headers.contains_key("set-cookie"), "{line}");
            }
            assert_eq!(upgrade(shop, order_id, &owner, header).await, 403, "{header:?}");
        }
        assert_eq!(payments(&sale).await, n as i64);
        sale.settles_at(2 * n + 1).await;
        for (line, cookie, body, status) in doors {
            let headers = [("cookie", cookie), ("idempotency-key", "a"), ours];
            assert_eq!(request(shop.address, line, &headers, body).await.status, status, "{line} {ours:?}");
        }
        assert_eq!(upgrade(shop, order_id, &owner, ours).await, 101);
    }
    sale.settles_at(4).await;
    assert_eq!(sale.orders("paid").await, 2);
}

/// Two instances that count attempts as their arguments say, and not as those of all tests do.
async fn counting(sale: &Production, args: &[&str]) -> [ShopProcess; 2] {
    let mut args = sale.args(args);
    args.retain(|arg| arg != "--frequency-limit=1000000");
    [sale.instance_with(&args).await, sale.instance_with(&args).await]
}

/// Asserts that so many attempts are enough for now, and that now ends with the window.
#[track_caller]
fn assert_too_often(reply: &Reply, window: u64) {
    assert_problem(reply, 429, "rate-limited");
    let wait: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=window).contains(&wait), "{wait}");
}

/// Redis's clock.
async fn redis_ms(sale: &Production) -> i64 {
    let mut redis = sale.stores.connect().await.unwrap();
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
    seconds * 1000 + micros / 1000
}

/// Asks for the WebSocket of an order, with one more header; returns the status.
async fn upgrade(shop: &ShopProcess, order_id: i64, cookie: &str, header: (&'static str, &str)) -> u16 {
    let mut request = format!("ws://{}/orders/{order_id}/watch", shop.address).into_client_request().unwrap();
    for (name, value) in [("cookie", cookie), header] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}
