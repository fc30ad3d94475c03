//! Chapter 6's reservations become orders, whichever of relay, queue and worker fails. No reservation that is stored somewhere is
//! declared lost.

use std::time::{Duration, Instant};

use crate::support::{
    SALE, eventually, json,
    production::{Production, held, operate, own, shared},
    requests::{becomes, click, counter, queued, request, sells},
};
use lapin::options::BasicGetOptions;
use loadtest::{
    buyer::client::Connection,
    fault::network::Network,
    lab::{servers::Server, shop_process::ShopProcess},
};
use redis::AsyncCommands;
use serde_json::Value;
use tokio::task::block_in_place;

/// Compares Redis with SQL all the time, and places missing orders at once.
const EAGER: [&str; 4] = ["--reconcile-every", "0.2", "--place-after", "0.1"];

impl Production {
    /// Moves the reservations from the outbox to the queue, one message each, as a relay does.
    async fn relay_all(&self) {
        for reservation in self.held().await {
            self.publish(&serde_json::to_vec(&[reservation]).unwrap()).await;
        }
        let mut redis = self.stores.connect().await.unwrap();
        redis.del::<_, ()>(self.stores.key(SALE, "outbox")).await.unwrap();
    }

    /// Takes messages out of the queue and keeps them, like a worker whose host is lost.
    async fn take(&self, messages: usize) -> (lapin::Connection, lapin::Channel) {
        let connection = self.stores.queues().await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("{}.orders", self.stores.namespace);
        for _ in 0..messages {
            let taken = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap();
            assert!(taken.is_some(), "a message");
        }
        (connection, channel)
    }

    async fn clicks(&self, shop: &ShopProcess, buyers: std::ops::RangeInclusive<i64>) -> Vec<(i64, i64)> {
        let mut connection = Connection::open(shop.address).await.unwrap();
        let mut orders = Vec::new();
        for buyer in buyers {
            orders.push((buyer, queued(&click(&mut connection, buyer).await)));
        }
        orders
    }
}

async fn become_confirmed(shop: &ShopProcess, orders: &[(i64, i64)]) {
    let mut connection = Connection::open(shop.address).await.unwrap();
    for &(buyer, order_id) in orders {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
}

async fn readiness(shop: &ShopProcess) -> Value {
    json(&request(shop.address, "GET /readyz", &[], "").await)
}

/// Whether readiness reports that [`SALE`] does not sell.
fn closed(readiness: &Value) -> bool {
    readiness["closed_sales"].as_array().is_some_and(|sales| sales.contains(&SALE.into()))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn messages_of_a_lost_worker_are_placed() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let orders = sale.clicks(&api, 1..=3).await;
    sale.relay_all().await;
    let (lost, _channel) = sale.take(3).await;
    let _worker = sale.instance(&[&["--role", "worker"][..], &EAGER].concat()).await;
    become_confirmed(&api, &orders).await;
    assert_eq!(sale.orders("failed").await, 0);

    lost.close(200, "".into()).await.unwrap(); // RabbitMQ notices, and redelivers them to another worker
    sale.settles_at(3).await;
}

/// Its transaction waits for the sale's row, and so does every instance that would place the orders.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn orders_whose_worker_waits_for_a_lock_are_not_given_up() {
    let sale = Production::new(shared(), 10).await;
    let api = sale.instance(&["--role", "api"]).await;
    let orders = sale.clicks(&api, 1..=5).await;
    sale.relay_all().await;
    let mut lock = sale.pool.begin().await.unwrap();
    sqlx::query("select 1 from sales where id = $1 for no key update").bind(SALE).execute(&mut *lock).await.unwrap();
    let worker = sale.instance(&[&["--role", "worker"][..], &EAGER].concat()).await;
    eventually("worker and leader have waited in vain", async || {
        counter(worker.address, "place_repeated_total").await >= 1 && sale.logs().contains("reservations wait")
    })
    .await;
    assert_eq!((sale.orders("failed").await, sale.orders("confirmed").await), (0, 0));
    lock.rollback().await.unwrap();
    become_confirmed(&api, &orders).await;
    sale.settles_at(5).await;
}

/// A broker that broke its promise loses a message; Redis still has the reservation.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn only_sqls_refusal_makes_a_reservation_fail() {
    let sale = Production::new(shared(), 3).await;
    let api = sale.instance(&["--role", "api"]).await;
    let orders = sale.clicks(&api, 1..=3).await;
    sale.stores.connect().await.unwrap().del::<_, ()>(sale.stores.key(SALE, "outbox")).await.unwrap();
    // SQL has one unit less than Redis.
    sqlx::query("update sales set stock = 2 where id = $1").bind(SALE).execute(&sale.pool).await.unwrap();
    let _worker = sale.instance(&[&["--role", "worker"][..], &EAGER].concat()).await;
    become_confirmed(&api, &orders[..2]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    becomes(&mut connection, 3, orders[2].1, "failed").await;
    let refused = crate::support::requests::order(&mut connection, 3, orders[2].1).await;
    assert_eq!(refused["reason"], "sold-out");
    eventually("its reservation is given back", async || held(&sale).await == 2).await;
    sale.settles_at(2).await;
}

/// Redis was emptied, and only the queue has three reservations. Their epoch ends when the worker has placed them, however long it takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn reservations_that_only_the_queue_has_are_waited_for() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let orders = sale.clicks(&api, 1..=3).await;
    sale.relay_all().await;
    let mut redis = sale.stores.connect().await.unwrap();
    for key in ["sale", "held"] {
        redis.del::<_, ()>(sale.stores.key(SALE, key)).await.unwrap();
    }
    // The worker gets nothing before the rebuild has found the queue full and sent its mark behind the three.
    let (broker, queue) = (Network::to(&sale.stores.amqp).await.unwrap(), format!("{}.orders", sale.stores.namespace));
    // `basic.consume`: class 60, method 20, a reserved number, and the queue's name.
    broker.hold_request(&[&[0, 60, 0, 20, 0, 0, queue.len() as u8], queue.as_bytes()].concat());
    let mut args = sale.args_with(Server::RabbitMq, &broker.instead_of(&sale.stores.amqp), &["--role", "worker"]);
    let postgres = Network::to(&sale.database.url).await.unwrap();
    let at = args.iter().position(|arg| arg == "--database-url").unwrap();
    args[at + 1] = postgres.instead_of(&sale.database.url).to_string();
    let _worker = sale.instance_with(&args).await;
    eventually("the rebuild sends its mark", async || sale.stores.messages("orders").await.unwrap() > 3).await;
    // The queue is empty while the worker places them, and the mark is not back.
    let (insert, mark) = (b"insert into orders (id, ", b"\x04mark");
    postgres.hold_request(insert);
    broker.restore();
    broker.hold_request(mark);
    eventually("it is placing them", async || postgres.holds(insert)).await;
    eventually("the mark is sent again", async || broker.holds(mark)).await;
    postgres.restore();
    broker.restore();
    become_confirmed(&api, &orders).await;
    sells(api.address, 4).await;
    sale.settles_at(4).await;
    assert_eq!(sale.orders("failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_redis_that_was_started_again_without_rabbitmq_sells_after_a_while() {
    let mut services = own();
    let sale = Production::new(&services, 10).await;
    let shop = sale.instance(&EAGER).await;
    let before = sale.clicks(&shop, 1..=3).await;
    sale.kill(&mut services, Server::RabbitMq).await;
    let without = sale.clicks(&shop, 4..=5).await; // into the outbox, and then from Redis into SQL
    become_confirmed(&shop, &[before.clone(), without].concat()).await;

    block_in_place(|| services.kill(Server::Redis)).unwrap();
    let began = Instant::now();
    block_in_place(|| services.start_again(Server::Redis)).unwrap();
    eventually("readiness says that the sale is closed, and why", async || {
        let ready = readiness(&shop).await;
        closed(&ready) && ready["missing"] == serde_json::json!(["RabbitMQ"])
    })
    .await;
    sells(shop.address, 6).await;
    assert!(began.elapsed() >= Duration::from_secs(8), "the queue might have had something: it was waited for");
    eventually("readiness says so", async || !closed(&readiness(&shop).await)).await;

    block_in_place(|| services.start_again(Server::RabbitMq)).unwrap();
    eventually("all servers answer", async || readiness(&shop).await["missing"] == serde_json::json!([])).await;
    sale.settles_at(6).await;
    become_confirmed(&shop, &before).await;
    assert_eq!(sale.orders("failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn rabbitmq_away_while_postgresql_is_away_costs_time_and_nothing_else() {
    let mut services = own();
    let sale = Production::new(&services, 10).await;
    let shop = sale.instance(&EAGER).await;
    let mut orders = sale.clicks(&shop, 1..=2).await;
    sale.kill(&mut services, Server::RabbitMq).await;
    block_in_place(|| services.kill(Server::Postgres)).unwrap();
    orders.extend(sale.clicks(&shop, 3..=5).await);
    block_in_place(|| services.start_again(Server::Postgres)).unwrap();
    become_confirmed(&shop, &orders).await; // without RabbitMQ
    block_in_place(|| services.start_again(Server::RabbitMq)).unwrap();
    eventually("all servers answer", async || readiness(&shop).await["missing"] == serde_json::json!([])).await;
    sale.settles_at(5).await;
    assert_eq!(sale.orders("failed").await, 0);
}

/// Redis lost the first reservation, so its buyer reserved again after the rebuild. Then a message has both.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn of_two_epochs_of_one_buyer_in_a_batch_the_new_one_gets_the_unit() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let lost = sale.clicks(&api, 1..=1).await[0].1;
    let first = sale.reservation(1).await;
    sale.flush().await;
    operate(&sale, &["rebuild", "--sale", "42"]);
    let order_id = sells(api.address, 1).await;
    let second = sale.reservation(1).await;
    sale.stores.connect().await.unwrap().del::<_, ()>(sale.stores.key(SALE, "outbox")).await.unwrap();
    sale.publish(&serde_json::to_vec(&[first, second]).unwrap()).await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    become_confirmed(&api, &[(1, order_id)]).await;
    becomes(&mut Connection::open(api.address).await.unwrap(), 1, lost, "failed").await;
    sale.settles_at(1).await;
}

/// Sells units by writing to SQL and Redis directly.
async fn sell(sale: &Production, units: i64) {
    let base = v6_production::OrderId::base(SALE, 1).0;
    let insert = "insert into orders (id, sale_id, buyer_id, path, request, reserved_at, status, confirmed_at, pay_by)
                  select $1::bigint + n, $2, n, n, n, 1, 'paid', 1, 1 from generate_series(1, $3::bigint) as n";
    sqlx::query(insert).bind(base).bind(SALE).bind(units).execute(&sale.pool).await.unwrap();
    sqlx::query("update sales set sold = $1").bind(units).execute(&sale.pool).await.unwrap();
    let mut redis = sale.stores.connect().await.unwrap();
    let (key, held) = (sale.stores.key(SALE, "sale"), sale.stores.key(SALE, "held"));
    let _: () = redis.hset_multiple(&key, &[("stock", 0), ("number", units)]).await.unwrap();
    let numbers: Vec<i64> = (1..=units).collect();
    for numbers in numbers.chunks(1000) {
        let held_of = |n: &i64| (n.to_be_bytes().to_vec(), [base + n, *n, *n].map(i64::to_be_bytes).concat());
        let fields: Vec<_> = numbers.iter().map(held_of).collect();
        let _: () = redis.hset_multiple(&held, &fields).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_comparison_costs_the_same_however_much_is_sold_and_still_finds_everything() {
    let sale = Production::new(shared(), 40_000).await;
    sell(&sale, 40_000).await;
    let worker = sale.instance(&["--role", "worker", "--reconcile-every", "0.1"]).await;
    let count = async |what: &str| counter(worker.address, &format!("reconcile_{what}_total")).await;
    eventually("it has been all around", async || count("reservations").await > 80_000).await;
    for what in ["reservations", "orders"] {
        let (compared, looks) = (count(what).await, count("looks").await);
        assert!(compared <= (looks + 1) * 11_000, "{compared} {what} in {looks} looks"); // the pages of a scan differ
    }
    assert_eq!((sale.epoch().await, counter(worker.address, "rebuilds_total").await), (1, 0), "all is well");

    // One of these reservations is lost.
    let mut redis = sale.stores.connect().await.unwrap();
    let _: i64 = redis.hdel(sale.stores.key(SALE, "held"), &39_999_i64.to_be_bytes()).await.unwrap();
    let _: i64 = redis.hincr(sale.stores.key(SALE, "sale"), "stock", 1).await.unwrap();
    eventually("it is found", async || sale.epoch().await == 2).await;
    sale.settles_at(40_000).await;
}

/// An order id that SQL should have leads to the whole sale and its reservations. Number 80,001 is given to nobody, so it stays the first
/// gap, even if an order in the first part is placed early.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn lost_reservations_are_found_among_many() {
    let sale = Production::new(shared(), 80_006).await;
    sell(&sale, 80_000).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let fields = [("stock", 6), ("number", 80_001)];
    let _: () = redis.hset_multiple(sale.stores.key(SALE, "sale"), &fields).await.unwrap();
    let api = sale.instance(&["--role", "api"]).await;
    let orders = sale.clicks(&api, 90_001..=90_006).await;
    let _: i64 = redis.del(sale.stores.key(SALE, "outbox")).await.unwrap();
    let worker = sale.instance(&["--role", "worker", "--place-after", "1", "--reconcile-every", "2"]).await;
    become_confirmed(&api, &orders).await;
    let count = async |what: &str| counter(worker.address, &format!("reconcile_{what}_total")).await;
    let (compared, looks) = (count("reservations").await, count("looks").await);
    assert!(compared > looks * 11_000, "all of them at once: {compared} in {looks} looks");
    sale.settles_at(80_006).await;
}
