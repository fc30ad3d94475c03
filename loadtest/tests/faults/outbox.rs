//! The outbox of chapter 6, from Redis to RabbitMQ: each reservation arrives once, whatever happens to a relay, an entry or the
//! broker.

use crate::support::{
    SALE, eventually,
    production::{Production, operate, shared},
    requests::{becomes, click, counter, queued, sells},
};
use futures_util::StreamExt;
use loadtest::{buyer::client::Connection, fault::network::Network, lab::servers::Server};
use redis::AsyncCommands;
use v1_naive::shop::sales::{Sale, now_ms};
use v6_production::OrderId;

impl Production {
    fn outbox(&self) -> String {
        self.stores.key(SALE, "outbox")
    }

    /// A worker whose RabbitMQ is behind this network.
    fn behind(&self, network: &Network) -> Vec<String> {
        self.args_with(Server::RabbitMq, &network.instead_of(&self.stores.amqp), &["--role", "worker"])
    }

    /// The start of a `basic.publish` to the queue of orders: class 60, method 40, no exchange, and the queue's name.
    fn publication(&self) -> Vec<u8> {
        let queue = format!("{}.orders", self.stores.namespace);
        [&[0, 60, 0, 40, 0, 0, 0, queue.len() as u8], queue.as_bytes()].concat()
    }

    /// The number of entries that wait for a relay.
    async fn waiting(&self) -> i64 {
        self.stores.connect().await.unwrap().xlen(self.outbox()).await.unwrap()
    }

    /// Reserves `units` with the script, each for another buyer.
    async fn reserve(&self, units: i64) {
        let mut redis = self.stores.connect().await.unwrap();
        let (sale, held) = (self.stores.key(SALE, "sale"), self.stores.key(SALE, "held"));
        let mut write = redis::pipe();
        write.atomic().hincr(&sale, "number", units).ignore().hincr(&sale, "stock", -units).ignore();
        for number in 1..=units {
            let order = (OrderId::base(SALE, 1).0 + number).to_be_bytes();
            let (buyer, path, request) = (number.to_be_bytes(), (now_ms() << 12).to_be_bytes(), [7; 8]);
            write.hset(&held, &buyer, [order, path, request].concat()).ignore();
            write.xadd(self.outbox(), "*", &[("r", [order, buyer, path, request].concat())]).ignore();
        }
        write.query_async::<()>(&mut redis).await.unwrap();
    }

    /// Reads all entries, like a relay that dies a moment later.
    async fn read_and_vanish(&self, relay: &str) -> Vec<String> {
        let mut redis = self.stores.connect().await.unwrap();
        let _: redis::RedisResult<()> = redis.xgroup_create(self.outbox(), "relay", "0").await;
        let options = redis::streams::StreamReadOptions::default().group("relay", relay);
        let read: redis::streams::StreamReadReply =
            redis.xread_options(&[self.outbox()], &[">"], &options).await.unwrap();
        read.keys.iter().flat_map(|stream| &stream.ids).map(|entry| entry.id.clone()).collect()
    }

    /// The consumers of the outbox's group.
    async fn relays(&self) -> Vec<String> {
        let mut redis = self.stores.connect().await.unwrap();
        let info: redis::streams::StreamInfoConsumersReply =
            redis.xinfo_consumers(self.outbox(), "relay").await.unwrap_or_default();
        info.consumers.into_iter().map(|consumer| consumer.name).collect()
    }
}

/// If a log record between acknowledging and deleting were lost, an entry would be delivered, not pending, and still there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_entry_is_acknowledged_and_deleted_in_one_step() {
    let sale = Production::new(shared(), 5).await;
    let client = redis::Client::open(sale.stores.redis.as_str()).unwrap();
    let mut monitor = client.get_async_monitor().await.unwrap();
    let shop = sale.instance(&[]).await;
    let order_id = queued(&click(&mut Connection::open(shop.address).await.unwrap(), 1).await);
    becomes(&mut Connection::open(shop.address).await.unwrap(), 1, order_id, "confirmed").await;
    eventually("it is relayed", async || sale.waiting().await == 0).await;

    let outbox = sale.outbox();
    let mut commands = monitor.on_message::<String>();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let line = commands.next().await.expect("Redis goes on");
        if line.contains(&outbox) && (line.contains("\"XACK\"") || line.contains("\"XDEL\"")) {
            seen.push(line);
        }
    }
    assert!(seen.iter().all(|line| line.contains(" lua]")), "in a script: {seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_entry_that_is_delivered_and_not_pending_is_relayed() {
    let sale = Production::new(shared(), 5).await;
    sale.reserve(3).await;
    let ids = sale.read_and_vanish("torn").await;
    let mut redis = sale.stores.connect().await.unwrap();
    let acknowledged: i64 = redis.xack(sale.outbox(), "relay", &ids).await.unwrap();
    assert_eq!((acknowledged, sale.waiting().await), (3, 3), "acknowledged, and never deleted");
    let _worker = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    sale.settles_at(3).await;
}

/// No relay runs, the group has delivered one entry to a consumer that does not exist, and RabbitMQ is not involved.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_rebuild_reads_the_outbox_itself() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    let torn = queued(&click(&mut connection, 1).await);
    let ids = sale.read_and_vanish("torn").await;
    let _: i64 = sale.stores.connect().await.unwrap().xack(sale.outbox(), "relay", &ids).await.unwrap();
    let pending = queued(&click(&mut connection, 2).await);
    sale.read_and_vanish("dead").await;
    let unread = queued(&click(&mut connection, 3).await);

    operate(&sale, &["rebuild", "--sale", "42"]);
    for (buyer, order_id) in [(1, torn), (2, pending), (3, unread)] {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    sale.settles_at(3).await;
    sells(api.address, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_clean_stop_loses_nothing_of_a_backlog() {
    let sale = Production::new(shared(), 2000).await;
    sale.reserve(1601).await;
    let (broker, publication) = (Network::to(&sale.stores.amqp).await.unwrap(), sale.publication());
    broker.hold_request(&publication);
    let mut worker = sale.instance_with(&sale.behind(&broker)).await;
    let mut redis = sale.stores.connect().await.unwrap();
    eventually("it has read everything", async || {
        let pending: redis::RedisResult<redis::streams::StreamPendingReply> =
            redis.xpending(sale.outbox(), "relay").await;
        pending.is_ok_and(|pending| pending.count() == 1601)
    })
    .await;
    broker.cut();
    eventually("what it has published is lost", async || !broker.holds(&publication)).await;
    eventually("it is at its backlog", async || broker.holds(&publication)).await;
    worker.ask_to_stop();
    eventually("it stops", async || Connection::open(worker.address).await.is_err()).await;
    broker.restore();
    worker.stop().await;

    let _next = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    sale.settles_at(1601).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_entry_that_is_no_reservation_is_parked_alone() {
    let sale = Production::new(shared(), 5).await;
    sale.put_up(&[Sale::open(50, 5)]).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let order = (OrderId::base(SALE, 1).0 + 900).to_be_bytes();
    let another_sale = (OrderId::base(50, 1).0 + 900).to_be_bytes();
    let bad: [(&[u8], Vec<u8>); 9] = [
        (b"r", b"hello".to_vec()),
        (b"x", [order, [1; 8], [1; 8], [1; 8]].concat()),
        (b"\xff", b"\xff".to_vec()),
        (b"r", vec![0; 32]),
        (b"r", vec![0xff; 32]),
        (b"r", [order, [0; 8], [1; 8], [1; 8]].concat()),
        (b"r", [another_sale, [1; 8], [1; 8], [1; 8]].concat()),
        (b"r2", Vec::new()),
        (b"r2", [order, [1; 8], [1; 8], [1; 8], order, [0; 8], [1; 8], [1; 8]].concat()),
    ];
    for field in bad {
        redis.xadd::<_, _, _, _, ()>(sale.outbox(), "*", &[field]).await.unwrap();
    }
    sale.reserve(3).await;
    let worker = sale.instance(&["--role", "worker"]).await;
    eventually("they are parked", async || sale.stores.messages("parked").await.unwrap() == 9).await;
    eventually("the others are orders", async || sale.orders("confirmed").await == 3).await;
    // A worker can be faster than the relay, which deletes the entries of what it has published.
    eventually("the outbox is empty", async || sale.waiting().await == 0).await;
    assert_eq!(sale.stores.messages("dead").await.unwrap(), 0);
    assert_eq!(counter(worker.address, "outbox_parked_total").await, 9);
    // An operator can find the entry and its outbox.
    let parked = sale.parked().await;
    assert!(parked.contains(&sale.outbox()) && parked.contains("hello"), "{parked}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_slow_broker_does_not_cause_a_second_relay() {
    for _ in 0..3 {
        if relayed_by_the_relay_that_read_it().await {
            return;
        }
    }
    panic!("each time another relay took the entry over");
}

/// Returns false if another relay took the entry over. One may, if this machine stands still for two seconds.
async fn relayed_by_the_relay_that_read_it() -> bool {
    let sale = Production::new(shared(), 5).await;
    let broker = Network::to(&sale.stores.amqp).await.unwrap();
    broker.hold_request(&sale.publication());
    let args = sale.behind(&broker);
    let workers = [sale.instance_with(&args).await, sale.instance_with(&args).await];
    sale.reserve(1).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let (mut first, mut stays) = (None, true);
    // A relay checks its pending entries twice a second.
    eventually("it is on its way for longer than a relay counts as alive that does not beat", async || {
        let pending: redis::streams::StreamPendingCountReply =
            redis.xpending_count(sale.outbox(), "relay", "-", "+", 1).await.unwrap_or_default();
        pending.ids.iter().any(|entry| {
            stays &= *first.get_or_insert_with(|| entry.consumer.clone()) == entry.consumer;
            entry.times_delivered >= 6
        })
    })
    .await;
    if !stays {
        return false;
    }
    broker.restore();
    sale.settles_at(1).await;
    // Each relay counts what it has sent once RabbitMQ has confirmed it.
    let relayed = async || {
        let [one, other] = workers.each_ref().map(|worker| counter(worker.address, "relayed_total"));
        one.await + other.await
    };
    eventually("it is relayed", async || relayed().await > 0).await;
    assert_eq!(relayed().await, 1);
    true
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn killed_relays_leave_no_consumer_behind() {
    let sale = Production::new(shared(), 20).await;
    sale.reserve(2).await;
    sale.read_and_vanish("killed").await;
    let worker = sale.instance(&["--role", "worker"]).await;
    sale.settles_at(2).await;
    let first = sale.relays().await;
    drop(worker); // kill -9
    let _worker = sale.instance(&["--role", "worker"]).await;
    eventually("only the one that lives is known", async || {
        let known = sale.relays().await;
        known.len() == 1 && known[0] != "killed" && !first.contains(&known[0])
    })
    .await;
}

/// Keys with content are kept until it is processed, however long that takes; an empty outbox ends with its sale.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn keys_of_a_sale_end_after_it_unless_something_is_in_them() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let worker = sale.instance(&["--role", "worker"]).await;
    let mut redis = sale.stores.connect().await.unwrap();
    let mut connection = Connection::open(api.address).await.unwrap();
    eventually("the empty outbox ends", async || redis.pttl::<_, i64>(sale.outbox()).await.unwrap() > 0).await;
    worker.stop().await;
    let order_id = queued(&click(&mut connection, 1).await);
    assert_eq!(redis.pttl::<_, i64>(sale.outbox()).await.unwrap(), -1, "an entry has no end");

    let _worker = sale.instance(&["--role", "worker"]).await;
    becomes(&mut connection, 1, order_id, "confirmed").await;
    operate(&sale, &["deny", "3"]);
    eventually("every key ends", async || {
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("{}:*", sale.stores.namespace)).query_async(&mut redis).await.unwrap();
        let mut ends = redis::pipe();
        for key in &keys {
            ends.pttl(key);
        }
        let ends: Vec<i64> = ends.query_async(&mut redis).await.unwrap();
        // A key that has just expired has no TTL either: -2.
        keys.len() >= 3 && ends.iter().all(|&end| end != -1)
    })
    .await;
}

impl Production {
    /// Parked messages; they are read and left there.
    async fn parked(&self) -> String {
        let connection = self.stores.queues().await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("{}.parked", self.stores.namespace);
        let mut parked = String::new();
        while let Some(message) = channel.basic_get(queue.as_str().into(), Default::default()).await.unwrap() {
            parked += &String::from_utf8_lossy(&message.data);
            parked.push('\n');
        }
        connection.close(200, "".into()).await.unwrap();
        parked
    }
}
