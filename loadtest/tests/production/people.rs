//! Chapter 6 and its buyers: what they are told, and how they find it again.

use crate::support::{
    SALE, assert_problem, eventually, json,
    orders::{GOOD, confirmed, pay_until_known},
    production::{Production, held, shared},
    requests::{address, becomes, buy_at, click, counter, log_in, order, purchase, queued, request},
};
use futures_util::future::join_all;
use loadtest::{
    buyer::client::{Connection, Reply},
    fault::network::Network,
    lab::{servers::Server, shop_process::ShopProcess},
};
use serde_json::Value;
use tokio::task::JoinHandle;
use v1_naive::shop::sales::Sale;

/// How many calls to Redis one instance makes at the same time. Further attempts wait for the next call.
const UNDER_WAY: i64 = 2;

async fn orders(shop: &ShopProcess, cookie: &str) -> Vec<Value> {
    let reply = request(shop.address, "GET /orders", &[("cookie", cookie)], "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    json(&reply)["orders"].as_array().unwrap().clone()
}

/// The answer was lost, and the request had no idempotency key.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_buyer_who_has_lost_the_answer_finds_the_order() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let (mine, others) = (log_in(shop.address, 5501).await, log_in(shop.address, 5502).await);
    assert_eq!(orders(&shop, &mine).await, [Value::Null; 0]);
    assert_problem(&request(shop.address, "GET /orders", &[], "").await, 401, "unauthenticated");
    let order_id = queued(&purchase(shop.address, SALE, &mine, None).await);

    let again = purchase(shop.address, SALE, &mine, None).await;
    assert_problem(&again, 409, "limit-reached");
    let (again, href) = (json(&again), format!("/orders/{order_id}"));
    assert_eq!((&again["order_id"], &again["order"]["href"]), (&order_id.into(), &href.as_str().into()), "{again}");
    assert_eq!(again["watch"], format!("{href}/watch"));
    let listed = orders(&shop, &mine).await;
    assert_eq!((listed.len(), &listed[0]["order_id"], &listed[0]["status"]), (1, &order_id.into(), &"queued".into()));

    let worker = sale.instance(&["--role", "worker"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    becomes(&mut connection, 5501, order_id, "confirmed").await;
    sale.expire().await;
    becomes(&mut connection, 5501, order_id, "expired").await;
    eventually("the unit is back", async || held(&sale).await == 0).await;
    let second = queued(&purchase(shop.address, SALE, &mine, None).await);
    becomes(&mut connection, 5501, second, "confirmed").await;
    let listed: Vec<_> = orders(&shop, &mine).await.iter().map(|one| one["order_id"].as_i64().unwrap()).collect();
    assert_eq!(listed, [second, order_id], "newest first");
    assert_eq!(orders(&shop, &others).await, [Value::Null; 0], "nobody else's");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn sold_out_says_whether_units_may_return() {
    let sale = Production::new(shared(), 1).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 5601).await;
    let cookie = log_in(shop.address, 5602).await;
    let said = async || {
        let reply = purchase(shop.address, SALE, &cookie, None).await;
        assert_problem(&reply, 409, "sold-out");
        json(&reply)["units_may_return"].as_bool().unwrap()
    };
    assert!(said().await, "it is not paid for");
    assert_eq!(pay_until_known(&shop, 5601, order_id, "a", GOOD).await.status, 200);
    eventually("none comes back", async || !said().await).await;
}

/// An instance that has just started does not know of earlier refusals.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sold_out_sale_issues_no_purchase_url() {
    let sale = Production::new(shared(), 1).await;
    let first = sale.instance(&[]).await;
    confirmed(&first, 5701).await;
    let fresh = sale.instance(&[]).await;
    let cookie = log_in(fresh.address, 5702).await;
    assert_problem(&address(fresh.address, SALE, &cookie).await.unwrap_err(), 409, "sold-out");
}

/// Redis is frozen. Four calls are in progress and the others wait; then their buyers disconnect.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_attempt_whose_buyer_is_gone_takes_no_unit() {
    let sale = Production::new(shared(), 20).await;
    let network = Network::to(&sale.stores.redis).await.unwrap();
    let args = sale.args_with(
        Server::Redis,
        &network.instead_of(&sale.stores.redis),
        &["--redis-timeout", "30", "--role", "api"],
    );
    let shop = sale.instance_with(&args).await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    let ready = async |buyer: i64| {
        let cookie = log_in(shop.address, buyer).await;
        (address(shop.address, SALE, &cookie).await.unwrap(), cookie)
    };
    let stay = join_all((5801..5801 + UNDER_WAY).map(ready)).await;
    let leave = join_all((5811..5841).map(ready)).await;
    network.silence();
    let door = shop.address;
    let waiting = async |n: i64| {
        eventually(&format!("{n} wait"), async || counter(door, "attempts_waiting").await == n).await;
    };
    let asks = |(at, cookie): (String, String)| tokio::spawn(async move { buy_at(door, &at, &cookie, None).await });
    let mut staying = Vec::new();
    for one in stay {
        staying.push(asks(one));
        let calls = staying.len() as i64; // each is a separate call
        eventually("its call is under way", async || counter(door, "reserve_calls_under_way").await == calls).await;
    }
    let leaving: Vec<_> = leave.into_iter().map(asks).collect();
    waiting(UNDER_WAY + leaving.len() as i64).await;
    leaving.iter().for_each(JoinHandle::abort);
    waiting(UNDER_WAY).await;
    network.restore();
    for reply in join_all(staying).await {
        queued(&reply.unwrap());
    }
    let mut connection = Connection::open(shop.address).await.unwrap();
    for buyer in 5851..5851 + 20 - UNDER_WAY {
        queued(&click(&mut connection, buyer).await);
    }
    assert_problem(&click(&mut connection, 5899).await, 409, "sold-out");
    sale.settles_at(20).await;
}

/// Attempts that reach Redis in one call are decided in turn: each sees the unit, the path and the counts of those before it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn attempts_in_one_call_see_each_other() {
    let sale = Production::new(shared(), UNDER_WAY + 2).await;
    let network = Network::to(&sale.stores.redis).await.unwrap();
    let few = ["--frequency-limit=4", "--frequency-buyers=5", "--frequency-window=60"];
    let rules = [&["--redis-timeout", "30", "--role", "api"][..], &few].concat();
    let mut args = sale.args_with(Server::Redis, &network.instead_of(&sale.stores.redis), &rules);
    args.retain(|arg| arg != "--frequency-limit=1000000");
    let shop = sale.instance_with(&args).await;
    let door = shop.address;
    let ready = async |buyer: i64| {
        let cookie = log_in(door, buyer).await;
        (address(door, SALE, &cookie).await.unwrap(), cookie)
    };
    let before = join_all((5901..5901 + UNDER_WAY).map(ready)).await;
    let [many, second, third, fourth] = [ready(5911).await, ready(5912).await, ready(5913).await, ready(5914).await];
    network.silence();
    let mut under_way = Vec::new();
    for (at, cookie) in before {
        under_way.push(tokio::spawn(async move { buy_at(door, &at, &cookie, None).await }));
        let calls = under_way.len() as i64;
        eventually("its call is under way", async || counter(door, "reserve_calls_under_way").await == calls).await;
    }
    let mut together = Vec::new();
    for (at, cookie) in [vec![many; 6], vec![second, third, fourth]].concat() {
        together.push(tokio::spawn(async move { buy_at(door, &at, &cookie, None).await }));
        let waiting = UNDER_WAY + together.len() as i64;
        eventually("it waits", async || counter(door, "attempts_waiting").await == waiting).await;
    }
    network.restore();
    let status = async |replies: Vec<JoinHandle<Reply>>| -> Vec<u16> {
        join_all(replies).await.into_iter().map(|reply| reply.unwrap().status.as_u16()).collect()
    };
    assert!(status(under_way).await.iter().all(|status| *status == 202));
    // One buyer has used the path and then all attempts. The next has the last unit, and one more is not counted.
    assert_eq!(status(together).await, [202, 404, 404, 404, 429, 429, 202, 409, 503]);
    // All reservations of the call are on their way; none has to be found by a comparison.
    let _worker = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    sale.settles_at(UNDER_WAY as usize + 2).await;
}

/// PostgreSQL's clock decides how long an order can be paid, and the page counts down by Redis's clock.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_time_to_pay_is_told_by_the_clock_that_the_page_counts_by() {
    const MINUTE: i64 = 60_000;
    for minutes in [-20, 20] {
        let sale = Production::new(shared(), 5).await;
        let first = sale.instance(&[]).await; // creates the tables
        first.stop().await;
        let shift = format!(
            "create or replace function now_ms() returns bigint language sql volatile
             as $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint + {} $$",
            minutes * MINUTE
        );
        sqlx::query(sqlx::AssertSqlSafe(shift)).execute(&sale.pool).await.unwrap();
        let shop = sale.instance(&[]).await;
        let order_id = confirmed(&shop, 5901).await;
        let mut connection = Connection::open(shop.address).await.unwrap();
        let left = async |connection: &mut Connection| {
            let by = order(connection, 5901, order_id).await["pay"]["by"].as_i64().unwrap();
            let page: Reply = request(shop.address, &format!("GET /sales/{SALE}"), &[], "").await;
            by - json(&page)["server_time"].as_i64().unwrap()
        };
        let left = left(&mut connection).await;
        assert!((14 * MINUTE..=15 * MINUTE + 5000).contains(&left), "{minutes}: {left} ms left to pay");
        assert_eq!(pay_until_known(&shop, 5901, order_id, "a", GOOD).await.status, 200);
    }
}

/// A list has a hundred rows of SQL at most. An order that is not among them is not queued for that reason.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_buyer_of_many_orders_sees_a_confirmed_one_as_confirmed() {
    let sale = Production::new(shared(), 5).await;
    sale.put_up(&[Sale::open(43, 5)]).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 4951).await;
    let insert = "insert into orders (id, sale_id, buyer_id, status, path, request, reserved_at, confirmed_at, pay_by, given_back)
                  select $1 + n, 43, buyer_id, 'expired', n, n, 0, 0, 0, true from orders, generate_series(1, 100) as n";
    let first = v6_production::OrderId::base(43, 1).0;
    assert_eq!(sqlx::query(insert).bind(first).execute(&sale.pool).await.unwrap().rows_affected(), 100);
    let all = orders(&shop, &log_in(shop.address, 4951).await).await;
    let it = all.iter().find(|order| order["order_id"] == order_id).expect("its reservation is in Redis");
    assert_eq!((all.len(), it["status"].as_str()), (101, Some("confirmed")), "{it}");
}
