//! Redis loses data and is rebuilt from SQL. That costs time but no unit. Chapter 6 on its real servers.

use std::process::Command;

use crate::support::{
    SALE, assert_problem, eventually, loadtest,
    orders::{GOOD, confirmed, given_back, heard, pay, watch},
    production::{Production, operate_says, own, shared},
    requests::{address, becomes, buy_at, click, counter, log_in, order, purchase, queued, sells},
};
use lapin::options::QueueDeclareOptions;
use loadtest::buyer::client::Connection;
use redis::AsyncCommands;
use tokio::task::block_in_place;
use v1_naive::shop::sales::Sale;

impl Production {
    /// Runs chapter 6's program with this command; returns what it prints, or else its errors.
    async fn operate(&self, command: &[&str], further: &[&str]) -> String {
        let args = [self.args(further), command.iter().map(|&word| word.to_owned()).collect()].concat();
        let run = move || Command::new(loadtest()).args(["serve", "v6"]).args(args).output().unwrap();
        let output = tokio::task::spawn_blocking(run).await.unwrap();
        // Its log is on the same stream as its errors.
        String::from_utf8(if output.stdout.is_empty() { output.stderr } else { output.stdout }).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn buyers_learn_of_lost_reservations_and_the_units_are_sold_again() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    let lost = queued(&click(&mut connection, 1).await); // in the outbox only
    let mut socket = watch(&api, 1, lost).await.unwrap();
    assert_eq!(heard(&mut socket).await, "queued");
    queued(&click(&mut connection, 9).await);
    let reservations = [sale.reservation(1).await, sale.reservation(9).await];
    sale.flush().await;

    // No instance says yes or no before the rebuild.
    let refused = click(&mut connection, 2).await;
    assert_problem(&refused, 503, "overloaded");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(order(&mut connection, 1, lost).await["type"], "overloaded");

    let _worker = sale.instance(&["--role", "worker"]).await;
    becomes(&mut connection, 1, lost, "failed").await;
    assert_eq!(order(&mut connection, 1, lost).await["reason"], "reservation-lost");
    assert_problem(&pay(&api, 1, lost, Some("a"), GOOD).await, 410, "closed");
    assert_eq!([heard(&mut socket).await, heard(&mut socket).await], ["failed", "closed"]);
    assert_eq!(sale.epoch().await, 2);
    sale.settles_at(0).await;

    // Its buyer may try again. If the reservation turns up after all, it is too late.
    let order_id = sells(api.address, 1).await;
    becomes(&mut connection, 1, order_id, "confirmed").await;
    sale.publish(&serde_json::to_vec(&reservations).unwrap()).await;
    eventually("they are refused by SQL", async || sale.orders("failed").await == 2).await;
    assert_eq!(order(&mut connection, 1, lost).await["status"], "failed");
    assert_eq!(order(&mut connection, 1, order_id).await["status"], "confirmed");
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_rebuild_restores_everything_that_sql_knows() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let cookie = log_in(shop.address, 1).await;
    let at = address(shop.address, SALE, &cookie).await.unwrap();
    let order_id = queued(&buy_at(shop.address, &at, &cookie, Some("key")).await);
    becomes(&mut Connection::open(shop.address).await.unwrap(), 1, order_id, "confirmed").await;
    sale.operate(&["deny", "3"], &[]).await;
    let expired = confirmed(&shop, 2).await;
    let bought_by_2 = address(shop.address, SALE, &log_in(shop.address, 2).await).await.unwrap(); // never used
    sale.expire_order(expired).await;
    given_back(&sale, 4).await;
    assert_eq!(sale.orders("expired").await, 1);
    sale.settles_at(1).await;

    sale.flush().await;
    eventually("there is a new epoch", async || sale.epoch().await == 2).await;
    eventually("the instance knows", async || purchase(shop.address, SALE, &cookie, Some("other")).await.status != 503)
        .await;
    // One unit each, purchase URLs, idempotency keys and the deny list.
    assert_problem(&purchase(shop.address, SALE, &cookie, None).await, 409, "limit-reached");
    assert_eq!(queued(&buy_at(shop.address, &at, &cookie, Some("key")).await), order_id, "the same request again");
    assert_problem(&buy_at(shop.address, &at, &cookie, None).await, 404, "wrong-path");
    let denied = log_in(shop.address, 3).await;
    assert_problem(&purchase(shop.address, SALE, &denied, None).await, 403, "blocked");
    let second = log_in(shop.address, 2).await;
    queued(&buy_at(shop.address, &bought_by_2, &second, None).await);
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_redis_that_was_started_again_sells_nothing_before_it_is_compared() {
    let mut services = own();
    let sale = Production::new(&services, 5).await;
    // With `everysec`, Redis writes to its log up to two seconds late while the disk is slow, and kill -9 would lose the reservation.
    let mut always = redis::cmd("CONFIG");
    always.arg("SET").arg("appendfsync").arg("always");
    always.exec_async(&mut sale.stores.connect().await.unwrap()).await.unwrap();
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    let order_id = queued(&click(&mut connection, 1).await);
    block_in_place(|| services.kill(loadtest::lab::servers::Server::Redis)).unwrap();
    block_in_place(|| services.start_again(loadtest::lab::servers::Server::Redis)).unwrap();
    // Redis has all data, but the instances cannot know that.
    eventually("it answers", async || order(&mut connection, 1, order_id).await["status"] == "queued").await;
    assert_problem(&click(&mut connection, 2).await, 503, "overloaded");

    let _worker = sale.instance(&["--role", "worker"]).await;
    becomes(&mut connection, 1, order_id, "confirmed").await;
    sells(api.address, 2).await;
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sale_is_rebuilt_by_hand_while_it_is_on() {
    let sale = Production::new(shared(), 40).await;
    let shop = sale.instance(&[]).await;
    for buyer in 1..=10 {
        queued(&click(&mut Connection::open(shop.address).await.unwrap(), buyer).await);
    }
    let said = operate_says(&sale, &["rebuild", "--sale", "42"]).unwrap();
    assert_eq!(said, "sale 42: epoch 2, 30 units left, 10 held\n");
    sale.settles_at(10).await;
    sells(shop.address, 11).await;
    sale.settles_at(11).await;
    let said = sale.operate(&["rebuild", "--sale", "7"], &[]).await;
    assert_eq!(said, "error: there is no sale 7\n");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_lost_reservation_is_placed_once_whoever_compares() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    let mut orders = Vec::new();
    for buyer in 1..=3 {
        orders.push(queued(&click(&mut connection, buyer).await));
    }
    let message = sale.reservation(1).await;
    let young = sale.operate(&["reconcile"], &["--place-after", "3600"]).await;
    assert!(young.contains("3 held") && young.contains("3 in the outbox") && !young.contains('!'), "{young}");
    sale.stores.connect().await.unwrap().del::<_, ()>(sale.stores.key(SALE, "outbox")).await.unwrap();
    let young = sale.operate(&["reconcile"], &["--place-after", "3600"]).await;
    assert!(!young.contains('!'), "not yet: {young}");

    let short = ["--place-after", "0.05"];
    let (mut said, mut placed) = (String::new(), 0);
    eventually("they are old enough", async || {
        let three = tokio::join!(
            sale.operate(&["reconcile"], &short),
            sale.operate(&["reconcile"], &short),
            sale.operate(&["reconcile"], &short)
        );
        for report in [three.0, three.1, three.2] {
            placed += report
                .split(" reservations were unknown to SQL")
                .next()
                .and_then(|head| head.rsplit("! ").next()?.parse().ok())
                .unwrap_or(0);
            said += &report;
        }
        placed > 0
    })
    .await;
    assert_eq!(placed, 3, "{said}");
    let mut connection = Connection::open(api.address).await.unwrap(); // the shop closes one that is idle for 30 s
    for (buyer, order_id) in (1..).zip(&orders) {
        assert_eq!(order(&mut connection, buyer, *order_id).await["status"], "confirmed");
    }

    let _worker = sale.instance(&["--role", "worker"]).await;
    sale.settles_at(3).await;
    sale.publish(&serde_json::to_vec(&[message]).unwrap()).await; // one message turns up after all
    eventually("it was worked on", async || sale.stores.messages("orders").await.unwrap() == 0).await;
    sale.settles_at(3).await;
    let clean = operate_says(&sale, &["reconcile"]).unwrap();
    assert!(clean.contains("sale 42: stock 5; SQL: 3 orders, 3 sold; Redis: 2 left, 3 held;"), "{clean}");
    assert!(!clean.contains('!'), "{clean}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_redis_that_lies_is_found_out() {
    let sale = Production::new(shared(), 5).await;
    let shops =
        [sale.instance(&["--reconcile-every", "0.1"]).await, sale.instance(&["--reconcile-every", "0.1"]).await];
    let mut redis = sale.stores.connect().await.unwrap();
    redis.hincr::<_, _, _, ()>(sale.stores.key(SALE, "sale"), "stock", 7).await.unwrap();
    eventually("it is rebuilt", async || sale.epoch().await == 2).await;
    sale.settles_at(0).await;

    // An order that Redis does not have: its buyer could buy again.
    sells(shops[0].address, 1).await;
    sale.settles_at(1).await;
    let held = sale.stores.key(SALE, "held");
    redis.hdel::<_, _, ()>(&held, &v6_production::buyer_id("1").to_be_bytes()).await.unwrap();
    redis.hincr::<_, _, _, ()>(sale.stores.key(SALE, "sale"), "stock", 1).await.unwrap();
    eventually("it is rebuilt", async || sale.epoch().await == 3).await;
    sale.settles_at(1).await;
    let known: Vec<u8> = redis.hget(&held, &v6_production::buyer_id("1").to_be_bytes()).await.unwrap();
    let order_id: i64 = sqlx::query_scalar("select id from orders").fetch_one(&sale.pool).await.unwrap();
    assert_eq!(known[..8], order_id.to_be_bytes());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn when_the_leader_dies_another_one_takes_over() {
    let sale = Production::new(shared(), 5).await;
    let leader = sale.instance(&[]).await;
    eventually("it leads", async || sale.logs().matches("keeps Redis in line").count() == 1).await;
    let others = [sale.instance(&[]).await, sale.instance(&[]).await];
    sale.flush().await;
    eventually("it is rebuilt", async || sale.epoch().await == 2).await;
    drop(leader); // kill -9
    sale.flush().await;
    eventually("it is rebuilt by another", async || sale.epoch().await == 3).await;
    assert!(sale.logs().matches("keeps Redis in line").count() >= 2, "one of the two");
    sells(others[0].address, 1).await;
    sale.settles_at(1).await;
}

/// The sales that the log names after `message`, in order.
fn sales_after(message: &str, logs: &str) -> Vec<i64> {
    let sale = |line: &str| line.split_once(message)?.1.split([':', ' ']).next()?.trim().parse().ok();
    logs.lines().filter_map(sale).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn of_many_lost_sales_a_requested_one_is_rebuilt_first() {
    let sale = Production::new(shared(), 5).await;
    let others: Vec<Sale> = (100..199).map(|id| Sale { opens_at: 0, ..Sale::open(id, 5) }).collect();
    sale.put_up(&others).await;
    let api = sale.instance(&["--role", "api"]).await;
    sale.flush().await;
    let cookie = log_in(api.address, 1).await;
    let refused = purchase(api.address, SALE, &cookie, None).await;
    assert_problem(&refused, 503, "overloaded");

    // The buyer asks again and again, because the shop forgets after ten seconds that a sale was asked for.
    let (worker, _order_id) = tokio::join!(sale.instance(&["--role", "worker"]), sells(api.address, 1));
    let lost = async || -> i64 {
        sqlx::query_scalar("select count(*) from sales where epoch = 1").fetch_one(&sale.pool).await.unwrap()
    };
    eventually("all are rebuilt", async || lost().await == 0).await;
    // SQL has the new epoch first, and Redis when the sale is rebuilt.
    let mut redis = sale.stores.connect().await.unwrap();
    for other in &others {
        let key = sale.stores.key(other.id, "sale");
        let mut epoch = async || redis.hget::<_, _, Option<i64>>(&key, "epoch").await.unwrap();
        eventually("it is in Redis", async || epoch().await.is_some_and(|epoch| epoch > 1)).await;
    }
    // Four sales are rebuilt at a time, so another one may be finished first. By its id this sale would be the last.
    assert_eq!(sales_after("rebuilding sale ", &sale.logs())[0], SALE);
    assert_eq!(counter(worker.address, "rebuilds_undrained_total").await, 0);
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_queue_kept_full_by_others_does_not_block_a_rebuild() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let order_id = confirmed(&shop, 1).await;
    let again = serde_json::to_vec(&vec![sale.reservation(1).await; 50]).unwrap();
    let connection = sale.stores.queues().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let queue = format!("{}.orders", sale.stores.namespace);
    let fill = async {
        loop {
            // More messages than a worker takes at once: always some, and never too many.
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let waiting = channel.queue_declare(queue.as_str().into(), passive, Default::default()).await.unwrap();
            for _ in waiting.message_count()..100 {
                let (options, properties) = Default::default();
                channel.basic_publish("".into(), queue.as_str().into(), options, &again, properties).await.unwrap();
            }
        }
    };
    let rebuilding = async {
        sale.flush().await;
        eventually("there is a new epoch", async || sale.epoch().await == 2).await;
    };
    tokio::select! {
        () = rebuilding => {}
        () = fill => {}
    }
    assert_eq!(counter(shop.address, "rebuilds_undrained_total").await, 0);
    sale.settles_at(1).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    assert_eq!(order(&mut connection, 1, order_id).await["status"], "confirmed");
}
