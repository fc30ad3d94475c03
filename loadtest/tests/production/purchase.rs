//! Chapter 6 on its real servers: the way to an order when nothing breaks. `payment` has what follows.

use std::{collections::BTreeSet, process::Command};

use crate::support::{
    HOUR, SALE, assert_problem, eventually, json, link, loadtest,
    orders::confirmed,
    production::{Production, shared},
    requests::{address, becomes, buy_at, click, counter, log_in, open_sale, order, path, purchase, queued},
};
use futures_util::future::join_all;
use loadtest::buyer::client::{Connection, Reply};
use serde_json::json;
use v1_naive::shop::sales::{Sale, now_ms};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn units_are_sold_exactly_and_every_store_agrees() {
    let sale = Production::new(shared(), 3).await;
    let shop = sale.instance(&[]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    for buyer in 1..=3 {
        confirmed(&shop, buyer).await;
        if buyer == 1 {
            assert_problem(&click(&mut connection, buyer).await, 409, "limit-reached");
        }
    }
    assert_problem(&click(&mut connection, 4).await, 409, "sold-out");
    sale.settles_at(3).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn links_lead_from_the_sale_through_a_login_to_an_order() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    open_sale(&mut connection).await; // which asks again until the shop has read the sales
    let page = json(&connection.get("/sales/42", None).await.unwrap());
    let numbers = ["id", "price_cents", "stock", "sold"].map(|name| page[name].as_i64());
    assert_eq!((numbers, page["name"].is_string()), ([Some(SALE), Some(100), Some(5), Some(0)], true), "{page}");
    let [opens, now, closes] = ["opens_at", "server_time", "closes_at"].map(|time| page[time].as_i64().unwrap());
    assert!(opens <= now && now < closes, "{page}");
    assert_eq!(page["buy"], json!({ "method": "POST", "href": "/session?sale=42" }));

    // The header that stood in for a login until chapter 5 has no effect any more.
    let buy = link("POST", "/sales/42/path");
    for link in [&buy, &link("GET", "/orders/1"), &link("GET", "/orders/1/watch"), &link("POST", "/orders/1/payment")] {
        assert_problem(&connection.send(link, Some(1001), None).await.unwrap(), 401, "unauthenticated");
    }

    let session = link("POST", "/session?sale=42");
    let asked = json(&connection.send(&session, Some(1001), None).await.unwrap())["buy"].clone();
    assert_eq!((&asked["method"], &asked["href"]), (&json!("POST"), &json!("/session?sale=42")));
    assert_eq!((asked["ask"][0]["name"].as_str(), asked["ask"][0]["prompt"].is_string()), (Some("name"), true));
    let known = json!({
        "buyer_id": v6_production::buyer_id("1001"),
        "buy": { "method": "POST", "href": "/sales/42/path" },
    });
    let login = connection.send(&session, Some(1001), Some(r#"{"name": " 1001 "}"#.into())).await.unwrap();
    assert_eq!(json(&login), known);
    let again = connection.send(&session, Some(1001), None).await.unwrap();
    assert_eq!(json(&again), known, "who has a session is not asked again");

    let given = connection.send(&buy, Some(1001), None).await.unwrap();
    let href = json(&given)["buy"]["href"].as_str().unwrap().to_owned();
    assert_eq!(given.headers["cache-control"], "no-store");
    let hidden = href.strip_prefix("/sales/42/purchase/").unwrap();
    assert!(hidden.len() == 48 && hidden.bytes().all(|digit| digit.is_ascii_hexdigit()), "{href}");
    let reply = connection.send(&link("POST", &href), Some(1001), None).await.unwrap();
    let order_id = queued(&reply);
    let address = format!("/orders/{order_id}");
    let expected = json!({ "status": "queued", "order_id": order_id, "watch": format!("{address}/watch") });
    assert_eq!(json(&reply), expected);
    assert_eq!(reply.headers["location"], address.as_str());
    becomes(&mut connection, 1001, order_id, "confirmed").await;
    let mine = order(&mut connection, 1001, order_id).await;
    assert_eq!((&mine["order_id"], &mine["sale_id"]), (&json!(order_id), &json!(SALE)));
    let pay = [&mine["pay"]["method"], &mine["pay"]["href"], &mine["pay"]["ask"][0]["name"]];
    assert_eq!(pay, ["POST", &format!("{address}/payment"), "card"]);
    assert!(mine["pay"]["by"].as_i64().unwrap() > now, "{mine}");

    log_in(shop.address, 1002).await;
    assert_problem(&connection.get(&address, Some(1002)).await.unwrap(), 404, "not-found");
    assert_problem(&connection.get(&address, None).await.unwrap(), 401, "unauthenticated");
    sale.settles_at(1).await;
    let sold = async || json(&connection.get("/sales/42", None).await.unwrap())["sold"] == 1;
    eventually("the page says that one is sold", sold).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sale_sells_while_it_is_open_and_redis_knows_it() {
    let sale = Production::new(shared(), 1).await;
    let now = now_ms();
    let of = |id, opens_at, closes_at| Sale { opens_at, closes_at, ..Sale::open(id, 5) };
    let (coming, over) = (of(50, now + HOUR, now + 2 * HOUR), of(51, now - 2 * HOUR, now - HOUR));
    sale.put_up(&[coming, over]).await;
    Sale::open(52, 5).insert(&sale.pool).await.unwrap(); // in SQL only
    let shop = sale.instance(&["--role", "api"]).await;
    let cookie = log_in(shop.address, 1301).await;
    for (id, status, kind) in [(50, 403, "not-open"), (51, 410, "closed"), (52, 503, "overloaded")] {
        for key in [None, Some("key")] {
            let reply = purchase(shop.address, id, &cookie, key).await;
            assert_problem(&reply, status, kind);
            assert_eq!(reply.headers.contains_key("retry-after"), status == 503);
        }
    }
    let stores = sale.stores.read(&[50, 51, 52]).await.unwrap();
    let held: Vec<_> = [50, 51, 52].iter().map(|id| (stores.sales[id].held, stores.sales[id].left)).collect();
    assert_eq!((held, stores.unfinished), (vec![(0, 5), (0, 5), (0, 0)], 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_same_key_is_the_same_reservation() {
    let sale = Production::new(shared(), 2).await;
    let (shop, other) = (sale.instance(&[]).await, sale.instance(&[]).await);
    let (mine, others) = (log_in(shop.address, 1401).await, log_in(shop.address, 1402).await);
    let at = address(shop.address, SALE, &mine).await.unwrap();
    let crowd = join_all((0..20).map(|n| buy_at([shop.address, other.address][n % 2], &at, &mine, Some("a"))));
    let orders: Vec<i64> = crowd.await.iter().map(queued).collect();
    let another = address(shop.address, SALE, &mine).await.unwrap(); // while it is still issued
    assert!(orders.iter().all(|id| *id == orders[0]), "{orders:?}");
    // A key belongs to its buyer: the same key of another buyer is another key.
    let second = queued(&purchase(shop.address, SALE, &others, Some("a")).await);
    assert_ne!(second, orders[0]);

    assert_problem(&purchase(shop.address, SALE, &log_in(shop.address, 1403).await, Some("a")).await, 409, "sold-out");
    for address in [shop.address, other.address] {
        assert_eq!(queued(&buy_at(address, &at, &mine, Some("a")).await), orders[0], "also when it is sold out");
        assert_problem(&buy_at(address, &another, &mine, Some("b")).await, 409, "limit-reached");
    }
    sale.settles_at(2).await;
    assert_eq!(queued(&buy_at(shop.address, &at, &mine, Some("a")).await), orders[0], "also when it is confirmed");
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn fifty_clicks_of_one_buyer_at_two_instances_get_one_unit() {
    let sale = Production::new(shared(), 60).await;
    let args = ["--path-ttl", "600"];
    let (shop, other) = (sale.instance(&args).await, sale.instance(&args).await);
    let cookie = log_in(shop.address, 1501).await;
    // Two paths of one buyer and one millisecond can be the same.
    let mut paths = BTreeSet::new();
    eventually("there are fifty", async || {
        paths.insert(path(&shop, &cookie).await);
        paths.len() == 50
    })
    .await;
    let clicks =
        paths.iter().enumerate().map(|(n, at)| buy_at([shop.address, other.address][n % 2], at, &cookie, None));
    let (yes, no): (Vec<Reply>, Vec<Reply>) = join_all(clicks).await.into_iter().partition(|reply| reply.status == 202);
    assert_eq!(yes.len(), 1);
    for reply in &no {
        assert_problem(reply, 409, "limit-reached");
    }
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn what_one_instance_sells_out_another_refuses_without_asking() {
    let sale = Production::new(shared(), 1).await;
    let many: Vec<Sale> = (50..70).map(|id| Sale::open(id, 1)).collect();
    sale.put_up(&many).await;
    let (shop, other) = (sale.instance(&[]).await, sale.instance(&[]).await);
    let (mine, others) = (log_in(shop.address, 1601).await, log_in(shop.address, 1602).await);
    // The flag expires after a second, and on a busy machine the request may come later. At least one of twenty comes in time.
    for Sale { id, .. } in many {
        queued(&purchase(shop.address, id, &mine, None).await);
        assert_problem(&purchase(other.address, id, &others, None).await, 409, "sold-out");
        if counter(other.address, "filtered_total").await > 0 {
            return;
        }
    }
    panic!("the other instance has asked Redis each time");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn what_an_api_reserves_waits_in_the_outbox_for_a_worker() {
    let sale = Production::new(shared(), 2).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    let order_id = queued(&click(&mut connection, 1801).await);
    assert_eq!(order(&mut connection, 1801, order_id).await["status"], "queued");
    let ledger = sale.ledger().await;
    assert_eq!((ledger.orders.len(), ledger.stores.unwrap().unfinished), (0, 1));
    assert_eq!(sale.stores.messages("orders").await.unwrap(), 0, "it is in the outbox, and not in the queue");

    let worker = sale.instance(&["--role", "worker"]).await;
    becomes(&mut connection, 1801, order_id, "confirmed").await;
    sale.settles_at(1).await;
    let mut behind = Connection::open(worker.address).await.unwrap();
    assert_eq!(behind.get("/healthz", None).await.unwrap().status, 200);
    for path in ["/sales/42", "/", &format!("/orders/{order_id}")] {
        assert_problem(&behind.get(path, Some(1801)).await.unwrap(), 404, "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sale_is_put_up_once() {
    let sale = Production::new(shared(), 3).await;
    let shop = sale.instance(&[]).await;
    let cookie = log_in(shop.address, 1901).await;
    queued(&purchase(shop.address, SALE, &cookie, None).await);
    let seed = |arguments: &str| {
        let arguments: Vec<_> = ["seed"].into_iter().chain(arguments.split(' ')).collect();
        Command::new(loadtest()).args(["serve", "v6"]).args(sale.args(&arguments)).output().unwrap()
    };
    for arguments in ["--sale 42 --units 9", "--sale 7 --units 5", "--sale 7 --units 6"] {
        let output = seed(arguments);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    sale.settles_at(1).await; // of 3 units
    // The instance may have read the sale when it was in SQL only.
    eventually("the new sale is known", async || {
        let reply = purchase(shop.address, 7, &cookie, None).await;
        match reply.status.as_u16() {
            503 => assert_problem(&reply, 503, "overloaded"),
            _ => assert!(queued(&reply) > 0),
        }
        reply.status == 202
    })
    .await;
    assert_eq!(sale.stores.read(&[7]).await.unwrap().sales[&7].left, 4);

    let too_large = seed("--sale 1048576");
    let said = String::from_utf8_lossy(&too_large.stderr);
    assert_eq!((too_large.status.code(), said.trim().lines().count()), (Some(4), 1), "{said}");
    assert!(said.contains("--sale"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_reservation_takes_128_bytes_of_redis_at_most() {
    let sale = Production::new(shared(), 5000).await;
    let api = sale.instance(&["--role", "api"]).await;
    join_all((0..8).map(async |part| {
        let mut connection = Connection::open(api.address).await.unwrap();
        for buyer in (0..250).map(|n| 100_000 + part * 250 + n) {
            queued(&click(&mut connection, buyer).await);
        }
    }))
    .await;
    let mut redis = sale.stores.connect().await.unwrap();
    let mut usage = redis::cmd("MEMORY");
    usage.arg("USAGE").arg(sale.stores.key(SALE, "held")).arg("SAMPLES").arg(0);
    let bytes: i64 = usage.query_async(&mut redis).await.unwrap();
    assert_eq!(sale.ledger().await.stores.unwrap().sales[&SALE].held, 2000);
    assert!((1..=128).contains(&(bytes / 2000)), "{bytes} bytes for 2,000 reservations");
}
