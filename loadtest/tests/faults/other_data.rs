//! The servers return with older data: Redis is promoted without its last writes, PostgreSQL is restored without its last
//! commits. No order id is used twice, no unit is sold twice, and every buyer learns the result of the order.

use std::process::Command;

use crate::support::{
    SALE, assert_problem, eventually, loadtest,
    orders::{confirmed, heard, watch},
    production::{Production, operate, own, shared},
    requests::{becomes, click, counter, order, queued, sells},
};
use loadtest::{
    buyer::client::Connection,
    lab::{
        servers::{Server, Services},
        stores::connect,
    },
};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::task::block_in_place;
use url::Url;
use v1_naive::shop::sales::{Sale, now_ms};

/// Compares Redis with SQL all the time, and places missing orders at once.
const EAGER: [&str; 4] = ["--reconcile-every", "0.2", "--place-after", "0.1"];

/// A Redis that can become another one's replica or its primary.
struct Node {
    url: Url,
    redis: MultiplexedConnection,
}

impl Node {
    async fn of(services: &Services) -> Node {
        let url = services.url(Server::Redis).unwrap().clone();
        let redis = connect(&url).await.unwrap();
        Node { url, redis }
    }

    /// Becomes a replica, and waits until it has copied the data.
    async fn follow(&mut self, primary: &Node) {
        let password = primary.url.password().unwrap();
        self.command(&["CONFIG", "SET", "masterauth", password]).await;
        self.command(&["REPLICAOF", "127.0.0.1", &primary.url.port().unwrap().to_string()]).await;
        eventually("the replica is in step", async || self.info("master_link_status").await == "up").await;
    }

    /// Becomes a primary, with the data that it has.
    async fn lead(&mut self) {
        self.command(&["REPLICAOF", "NO", "ONE"]).await;
    }

    async fn command(&mut self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).exec_async(&mut self.redis).await.unwrap();
    }

    async fn info(&mut self, field: &str) -> String {
        let info: String = redis::cmd("INFO").query_async(&mut self.redis).await.unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_default().to_owned()
    }
}

impl Production {
    /// The output of `reconcile`.
    fn reconcile(&self, further: &[&str]) -> String {
        let said = || {
            let mut program = Command::new(loadtest());
            program.args(["serve", "v6"]).args(self.args(further)).arg("reconcile");
            String::from_utf8(block_in_place(|| program.output()).unwrap().stdout).unwrap()
        };
        // A command does not wait for a server that is slow. An operator would call it again.
        (0..5).map(|_| said()).find(|said| !said.is_empty()).unwrap_or_default()
    }

    /// Restores PostgreSQL without these orders and everything else that was committed with them.
    async fn restore_without(&self, orders: &[i64], epoch: i64) {
        let mut tx = self.pool.begin().await.unwrap();
        for order_id in orders {
            sqlx::query("delete from orders where id = $1").bind(order_id).execute(&mut *tx).await.unwrap();
        }
        let update = "update sales set sold = sold - $2, epoch = $3 where id = $1";
        let update = sqlx::query(update).bind(SALE).bind(orders.len() as i64).bind(epoch);
        update.execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_primary_with_older_data_uses_no_order_id_twice() {
    let services = own();
    let other = block_in_place(|| Services::start(&loadtest(), &[Server::Redis])).unwrap();
    let (mut primary, mut replica) = (Node::of(&services).await, Node::of(&other).await);
    replica.follow(&primary).await;
    let sale = Production::new(&services, 10).await;
    let api = sale.instance(&["--role", "api"]).await;
    let worker = sale.instance(&["--role", "worker"]).await;
    let mut orders = vec![confirmed(&api, 1).await];
    let held = sale.stores.key(SALE, "held");
    eventually("the replica has it", async || replica.redis.hlen::<_, i64>(&held).await.unwrap() == 1).await;

    // The replica is cut off, and two more units are sold. Then it is the primary, and the old primary follows it for a moment.
    replica.lead().await;
    orders.extend([confirmed(&api, 2).await, confirmed(&api, 3).await]);
    sale.settles_at(3).await;
    worker.stop().await;
    let process = primary.info("run_id").await;
    primary.follow(&replica).await;
    assert_eq!(primary.redis.hlen::<_, i64>(&held).await.unwrap(), 1, "older data");
    primary.lead().await;
    assert_eq!(primary.info("run_id").await, process, "the same process");

    let mut connection = Connection::open(api.address).await.unwrap();
    let refused = click(&mut connection, 4).await;
    assert_problem(&refused, 503, "overloaded");
    let _worker = sale.instance(&["--role", "worker"]).await;
    let fourth = sells(api.address, 4).await;
    let mut connection = Connection::open(api.address).await.unwrap(); // the shop closes one that is idle for 30 s
    assert!(!orders.contains(&fourth), "{fourth} of {orders:?}");
    for (buyer, order_id) in (1..).zip(&orders) {
        assert_eq!(order(&mut connection, buyer, *order_id).await["status"], "confirmed");
    }
    sale.settles_at(4).await;
}

/// Redis takes a new replication id for the same data, which looks the same from outside.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn the_first_replica_that_attaches_costs_a_rebuild_and_nothing_else() {
    let services = own();
    let other = block_in_place(|| Services::start(&loadtest(), &[Server::Redis])).unwrap();
    let (primary, mut replica) = (Node::of(&services).await, Node::of(&other).await);
    let sale = Production::new(&services, 10).await;
    let shop = sale.instance(&[]).await;
    let orders = [confirmed(&shop, 1).await, confirmed(&shop, 2).await];
    replica.follow(&primary).await;
    eventually("it is rebuilt", async || sale.epoch().await == 2).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    sells(shop.address, 3).await;
    for (buyer, order_id) in (1..).zip(orders) {
        assert_eq!(order(&mut connection, buyer, order_id).await["status"], "confirmed");
    }
    sale.settles_at(3).await;
    assert_eq!(sale.orders("failed").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn an_order_id_of_another_buyer_raises_an_alarm_and_a_rebuild() {
    let sale = Production::new(shared(), 10).await;
    let api = sale.instance(&["--role", "api"]).await;
    let worker = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    let first = confirmed(&api, 1).await;
    sale.settles_at(1).await;
    // As if Redis had lost its last writes without any other sign.
    let mut redis = sale.stores.connect().await.unwrap();
    redis.hincr::<_, _, _, ()>(sale.stores.key(SALE, "sale"), "number", -1).await.unwrap();
    let mut connection = Connection::open(api.address).await.unwrap();
    let second = queued(&click(&mut connection, 2).await);
    assert_eq!(second, first, "the same number");
    let mut socket = watch(&api, 2, second).await.unwrap();
    loop {
        match heard(&mut socket).await.as_str() {
            "failed" => break,
            told => assert_eq!(told, "queued"),
        }
    }

    becomes(&mut connection, 2, second, "failed").await;
    assert_eq!(order(&mut connection, 2, second).await["reason"], "number-taken");
    assert_eq!(order(&mut connection, 1, first).await["status"], "confirmed");
    // The worker counts it after its commit.
    eventually("it is counted", async || counter(worker.address, "order_collisions_total").await >= 1).await;
    assert!(sale.logs().contains("another buyer has this number"));
    eventually("it is rebuilt", async || sale.epoch().await == 2).await;
    let again = sells(api.address, 2).await;
    becomes(&mut connection, 2, again, "confirmed").await;
    sale.settles_at(2).await;
}

/// As many reservations as orders and as many units as there should be, but none of them is the same.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_difference_in_identity_with_equal_counts_is_found() {
    let sale = Production::new(shared(), 10).await;
    let api = sale.instance(&["--role", "api"]).await;
    let worker = sale.instance(&["--role", "worker", "--reconcile-every", "3600"]).await;
    let first = confirmed(&api, 1).await;
    sale.settles_at(1).await;
    let (held, of) = (sale.stores.key(SALE, "held"), |buyer| v6_production::buyer_id(buyer).to_be_bytes());
    let mut redis = sale.stores.connect().await.unwrap();
    redis.hdel::<_, _, ()>(&held, &of("1")).await.unwrap();
    let another = first + 7;
    let entry = [another, now_ms() << 12, 7].map(i64::to_be_bytes).concat();
    redis.hset::<_, _, _, ()>(&held, &of("9"), entry).await.unwrap();

    let said = sale.reconcile(&["--place-after", "3600"]);
    assert!(said.contains("Redis does not know 1 orders") && !said.contains("are placed"), "{said}");
    let said = sale.reconcile(&["--place-after", "0.001"]);
    assert!(said.contains("1 reservations were unknown to SQL, and are placed"), "{said}");
    worker.stop().await;
    let _worker = sale.instance(&["--role", "worker", "--reconcile-every", "0.2"]).await;
    eventually("it is rebuilt", async || sale.epoch().await == 2).await;
    sale.settles_at(2).await;

    // A changed sale window is updated in place, and so is a unit that SQL has released.
    let key = sale.stores.key(SALE, "sale");
    let closes_at: i64 = redis.hget(&key, "closes_at").await.unwrap();
    redis.hincr::<_, _, _, ()>(&key, "closes_at", 1000).await.unwrap();
    let mut other = redis.clone();
    let mut as_before = async || other.hget::<_, _, i64>(&key, "closes_at").await.unwrap() == closes_at;
    eventually("it is told", async || as_before().await).await;
    sells(api.address, 3).await;
    sale.settles_at(3).await;
    let over = "update orders set status = 'expired', given_back = true where id = $1";
    sqlx::query(over).bind(first).execute(&sale.pool).await.unwrap();
    sqlx::query("update sales set sold = sold - 1 where id = $1").bind(SALE).execute(&sale.pool).await.unwrap();
    eventually("it is rebuilt", async || sale.epoch().await == 3).await;
    sale.settles_at(2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn postgresql_without_its_last_commits_gets_them_back_from_redis() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let [first, second, third] = [confirmed(&shop, 1).await, confirmed(&shop, 2).await, confirmed(&shop, 3).await];
    sale.settles_at(3).await;
    shop.stop().await;
    sale.restore_without(&[second, third], 1).await;

    let shop = sale.instance(&EAGER).await; // its counter begins at 0: an eager instance may have placed a slow order before
    let mut connection = Connection::open(shop.address).await.unwrap();
    eventually("SQL has them again", async || sale.orders("confirmed").await == 3).await;
    for (buyer, order_id) in [(1, first), (2, second), (3, third)] {
        assert_eq!(order(&mut connection, buyer, order_id).await["status"], "confirmed");
    }
    eventually("the difference is reported", async || sale.logs().contains("were unknown to SQL")).await;
    assert_eq!(counter(shop.address, "reservations_placed_total").await, 2);
    for buyer in [4, 5] {
        queued(&click(&mut connection, buyer).await);
    }
    assert_problem(&click(&mut connection, 6).await, 409, "sold-out");
    sale.settles_at(5).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn postgresql_from_before_the_last_rebuild_loses_no_order_and_reuses_no_id() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&EAGER).await;
    let first = confirmed(&shop, 1).await;
    operate(&sale, &["rebuild", "--sale", "42"]);
    let mut connection = Connection::open(shop.address).await.unwrap();
    let mut orders = vec![first];
    for buyer in [2, 3] {
        orders.push(sells(shop.address, buyer).await);
        becomes(&mut connection, buyer, orders[orders.len() - 1], "confirmed").await;
    }
    sale.settles_at(3).await;
    let before = sale.epoch().await;
    sale.restore_without(&orders[1..], 1).await;

    eventually("it is rebuilt", async || sale.epoch().await > before).await;
    let mut connection = Connection::open(shop.address).await.unwrap(); // the shop closes one that is idle for 30 s
    for (buyer, order_id) in (1..).zip(orders.clone()) {
        becomes(&mut connection, buyer, order_id, "confirmed").await;
    }
    for buyer in [4, 5] {
        let order_id = sells(shop.address, buyer).await;
        assert!(!orders.contains(&order_id), "{order_id} of {orders:?}");
        orders.push(order_id);
    }
    assert_problem(&click(&mut connection, 6).await, 409, "sold-out");
    assert!(sale.logs().contains("PostgreSQL has lost its last commits"));
    sale.settles_at(5).await;
    assert_eq!(sale.orders("failed").await, 0);
}

/// From before the sale was created: its row is missing too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_sale_that_is_put_up_again_keeps_the_orders_that_redis_holds() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&EAGER).await;
    let order_id = confirmed(&shop, 1).await;
    sale.settles_at(1).await;
    let mut tx = sale.pool.begin().await.unwrap();
    for delete in ["delete from orders where sale_id = $1", "delete from sales where id = $1"] {
        sqlx::query(delete).bind(SALE).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    sale.put_up(&[Sale::open(SALE, 5)]).await;
    let mut connection = Connection::open(shop.address).await.unwrap();
    becomes(&mut connection, 1, order_id, "confirmed").await;
    sells(shop.address, 2).await;
    sale.settles_at(2).await;
}
