//! Failures around chapter 6, on its real servers: no unit and no promise is lost or duplicated.

use std::time::Duration;

use crate::support::{
    SALE, eventually,
    orders::confirmed,
    production::{Production, own, shared},
    proxy::Proxy,
    requests::{address, becomes, click, counter, log_in, open_sale, order, purchase, queued, reservation, sells},
};
use lapin::options::QueueDeleteOptions;
use loadtest::{
    buyer::client::Connection,
    lab::{servers::Server, shop_process::ShopProcess},
    version::Version,
};
use redis::AsyncCommands;
use tokio::{io::AsyncWriteExt, task::block_in_place, time::timeout};

/// A server may take two minutes to start on a busy machine, and the shop waits for it meanwhile.
const SERVER_STARTS: Duration = Duration::from_secs(180);

/// A key of the script that reserves. Others that have it run only when a sale is created, rebuilt or changed.
const RESERVES: &[u8] = b":denied";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn servers_that_are_away_at_the_start_are_waited_for() {
    let mut services = own();
    let sale = Production::new(&services, 5).await;
    for server in Server::STORES {
        sale.kill(&mut services, server).await;
        let log = sale.lab.folder.path().join(format!("{server}.log"));
        let (args, loadtest, path) = (sale.args(&[]), sale.lab.loadtest.clone(), log.clone());
        let start = async move { ShopProcess::start_within(SERVER_STARTS, &loadtest, Version::V6, &args, path).await };
        let starting = tokio::spawn(start);
        let says = format!("waiting for {server}");
        eventually(&says, async || std::fs::read_to_string(&log).is_ok_and(|log| log.contains(&says))).await;
        assert!(!starting.is_finished());
        block_in_place(|| services.start_again(server)).unwrap();
        let shop = starting.await.unwrap().unwrap();
        let buyer = 1 + server as i64;
        // A Redis that was restarted sells again after it was compared with SQL.
        let order_id = sells(shop.address, buyer).await;
        let mut connection = Connection::open(shop.address).await.unwrap();
        becomes(&mut connection, buyer, order_id, "confirmed").await;
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_worker_killed_between_commit_and_acknowledgement_makes_no_second_order() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let proxy = Proxy::to(&sale.stores.amqp).await;
    proxy.drop_acks();
    let args = sale.args_with(Server::RabbitMq, &proxy.instead_of(&sale.stores.amqp), &["--role", "worker"]);
    let worker = sale.instance_with(&args).await;
    confirmed(&api, 1).await;
    eventually("an acknowledgement that does not arrive", async || proxy.acks_dropped() == 1).await;
    drop(worker); // kill -9

    eventually("the message is back", async || sale.stores.messages("orders").await.unwrap() == 1).await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_instance_killed_after_the_reservation_loses_nothing() {
    let sale = Production::new(shared(), 5).await;
    let told = sale.instance(&["--role", "api"]).await;
    let order_id = queued(&click(&mut Connection::open(told.address).await.unwrap(), 1).await);
    drop(told); // kill -9

    // An instance dies between the reservation and the answer.
    let proxy = Proxy::to(&sale.stores.redis).await;
    let args = sale.args_with(Server::Redis, &proxy.instead_of(&sale.stores.redis), &["--role", "api"]);
    let silent = sale.instance_with(&args).await;
    let mut connection = Connection::open(silent.address).await.unwrap();
    // Not earlier: without answers to its own questions, the shop would give up the connection before the buyer's request.
    proxy.hold_answers_from(RESERVES);
    let clicking = tokio::spawn(async move { click(&mut connection, 2).await });
    eventually("both are reserved", async || sale.held().await.len() == 2).await;
    drop(silent);
    assert!(clicking.await.is_err(), "no answer");

    let shop = sale.instance(&[]).await;
    becomes(&mut Connection::open(shop.address).await.unwrap(), 1, order_id, "confirmed").await;
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_buyer_who_disconnects_has_still_bought() {
    let sale = Production::new(shared(), 5).await;
    let proxy = Proxy::to(&sale.stores.redis).await;
    let args = sale.args_with(Server::Redis, &proxy.instead_of(&sale.stores.redis), &[]);
    let shop = sale.instance_with(&args).await;
    click(&mut Connection::open(shop.address).await.unwrap(), 9).await; // Redis has the script cached
    let cookie = log_in(shop.address, 1).await;
    loop {
        eventually("it gives out an address", async || address(shop.address, SALE, &cookie).await.is_ok()).await;
        let Ok(address) = address(shop.address, SALE, &cookie).await else { continue };
        proxy.hold_answers(true);
        let mut wire = tokio::net::TcpStream::connect(shop.address).await.unwrap();
        let request = format!("POST {address} HTTP/1.1\r\nhost: shop\r\ncookie: {cookie}\r\ncontent-length: 0\r\n\r\n");
        wire.write_all(request.as_bytes()).await.unwrap();
        let reserved = eventually("it is reserved", async || sale.held().await.len() == 2);
        // On a busy machine the shop may run out of time for Redis's answers before it has read the request, and then it refuses.
        if timeout(Duration::from_secs(3), reserved).await.is_ok() {
            drop(wire); // before the answer
            break;
        }
        proxy.hold_answers(false);
    }
    proxy.hold_answers(false);
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_queue_is_never_longer_than_the_stock() {
    let mut services = own();
    let sale = Production::new(&services, 30).await;
    let shop = sale.instance(&[]).await;
    let cookies = futures_util::future::join_all((1..=60).map(|buyer| log_in(shop.address, buyer))).await;
    open_sale(&mut Connection::open(shop.address).await.unwrap()).await;
    // No worker empties the queue.
    block_in_place(|| services.kill(Server::Postgres)).unwrap();
    let clicks = cookies.iter().map(|cookie| purchase(shop.address, SALE, cookie, None));
    let replies = futures_util::future::join_all(clicks).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 202).count(), 30);
    let mut redis = sale.stores.connect().await.unwrap();
    eventually("all is in the queue", async || {
        redis.xlen::<_, i64>(sale.stores.key(SALE, "outbox")).await.unwrap() == 0
    })
    .await;
    // One message is a list of reservations, and workers hold some messages.
    assert!(sale.stores.messages("orders").await.unwrap() <= 30);
    block_in_place(|| services.start_again(Server::Postgres)).unwrap();
    sale.settles_at(30).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_message_that_comes_twice_makes_one_order() {
    let sale = Production::new(shared(), 20).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    for buyer in 1..=10 {
        queued(&click(&mut connection, buyer).await);
    }
    let message = serde_json::to_vec(&sale.held().await).unwrap();
    sale.publish(&message).await; // and the relay will send its own copy
    let worker = sale.instance(&["--role", "worker"]).await;
    sale.settles_at(10).await;
    // Copies of orders are a batch without a new row. A worker that cannot place it would repeat it without end.
    let placed = async || counter(worker.address, "batch_orders_count").await;
    let before = placed().await;
    sale.publish(&message).await;
    sale.publish(&message).await;
    eventually("the copies are placed", async || placed().await > before).await;
    sale.settles_at(10).await;

    worker.stop().await;
    let mut connection = Connection::open(shop.address).await.unwrap(); // the shop closes one that is idle for 30 s
    for buyer in 11..=12 {
        queued(&click(&mut connection, buyer).await);
    }
    sale.publish(&serde_json::to_vec(&sale.held().await).unwrap()).await; // ten orders that exist and two new ones
    let _worker = sale.instance(&["--role", "worker"]).await;
    sale.settles_at(12).await;
    assert_eq!(sale.stores.messages("parked").await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_poison_message_does_not_block_others() {
    let sale = Production::new(shared(), 2).await;
    let shop = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let first = queued(&click(&mut connection, 1).await);
    let second = queued(&click(&mut connection, 2).await);
    let id = |order: i64, buyer: i64| reservation(order, buyer, 1, 1);
    let unknown_sale = id(999_999 << 33 | 1 << 25 | 1, 5);
    sale.publish(b"\xff not JSON").await;
    let mut mixed = sale.held().await;
    mixed.insert(0, unknown_sale);
    mixed.push(id(first + 1000, 77)); // from a Redis that counted a unit too many
    sale.publish(&serde_json::to_vec(&mixed).unwrap()).await;
    let _worker = sale.instance(&["--role", "worker"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap(); // the shop closes one that is idle for 30 s

    becomes(&mut connection, 1, first, "confirmed").await;
    becomes(&mut connection, 2, second, "confirmed").await;
    eventually("what nobody can read is parked", async || sale.stores.messages("parked").await.unwrap() == 2).await;
    eventually("the third is refused by SQL", async || sale.orders("failed").await == 1).await;
    // The queue is not blocked.
    assert_eq!(order(&mut connection, 1, first).await["status"], "confirmed");
    eventually("queues are empty", async || {
        sale.stores.messages("orders").await.unwrap() + sale.stores.messages("dead").await.unwrap() == 0
    })
    .await;
    let ledger = sale.ledger().await;
    assert_eq!((ledger.orders.len(), ledger.sales[0].sold), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_second_unit_of_one_buyer_is_refused_by_sql_and_sold_again() {
    let sale = Production::new(shared(), 3).await;
    let shop = sale.instance(&["--reconcile-every", "3600"]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    confirmed(&shop, 1).await;
    // As if Redis had lost the first reservation and sold the buyer a second unit.
    let mut redis = sale.stores.connect().await.unwrap();
    let (held, buyer) = (sale.stores.key(SALE, "held"), v6_production::buyer_id("1").to_be_bytes());
    let first: Vec<u8> = redis.hget(&held, &buyer).await.unwrap();
    redis.hdel::<_, _, ()>(&held, &buyer).await.unwrap();
    let second = queued(&click(&mut connection, 1).await);
    becomes(&mut connection, 1, second, "failed").await;
    assert_eq!(order(&mut connection, 1, second).await["reason"], "limit-reached");
    eventually("its unit is back", async || sale.held().await.is_empty()).await;
    redis.hset::<_, _, _, ()>(&held, &buyer, first).await.unwrap();
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_unroutable_message_stays_in_the_outbox_until_there_is_a_queue() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    confirmed(&shop, 1).await;
    let queues = sale.stores.queues().await.unwrap();
    let channel = queues.create_channel().await.unwrap();
    let queue = format!("{}.orders", sale.stores.namespace);
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    confirmed(&shop, 2).await;
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_retry_after_a_late_answer_gets_the_same_answer() {
    let sale = Production::new(shared(), 5).await;
    let proxy = Proxy::to(&sale.stores.redis).await;
    let args = sale.args_with(Server::Redis, &proxy.instead_of(&sale.stores.redis), &["--redis-timeout", "0.3"]);
    let shop = sale.instance_with(&args).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    let (mut clicked, before) = (Connection::open(shop.address).await.unwrap(), proxy.scripts());
    click(&mut clicked, 9).await; // logged in, script loaded, a unit sold
    eventually("the first script", async || proxy.scripts() > before).await;

    let repeated = async || counter(shop.address, "reserve_repeated_total ").await;
    let (asked, before) = (proxy.scripts(), repeated().await);
    proxy.hold_answers_from(RESERVES);
    let clicking = tokio::spawn(async move { (click(&mut connection, 1).await, connection) });
    eventually("the script has run", async || sale.held().await.len() == 2).await;
    eventually("it is asked for again", async || repeated().await > before).await;
    proxy.hold_answers(false);
    let (reply, mut connection) = clicking.await.unwrap();
    assert!(proxy.scripts() >= asked + 2, "by way of another connection");
    let order_id = queued(&reply);
    becomes(&mut connection, 1, order_id, "confirmed").await;
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_stopped_instance_finishes_its_work_or_leaves_it_to_another() {
    let sale = Production::new(shared(), 100).await;
    let shop = sale.instance(&[]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    for buyer in 1..=50 {
        queued(&click(&mut connection, buyer).await);
    }
    shop.stop().await;
    let _next = sale.instance(&[]).await;
    sale.settles_at(50).await;
}
