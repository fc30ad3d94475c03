//! Lost hosts, frozen processes and silent connections: no peer gets a FIN, and the sale continues within seconds. Chapter 6 on
//! its real servers, behind a network that can fail.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use crate::support::{
    SALE, eventually,
    production::{Production, held, own, pair, shared},
    requests::{self, becomes, click, queued, readyz},
};
use loadtest::{
    buyer::client::Connection,
    fault::network::Network,
    lab::{
        servers::{Server, Services},
        shop_process::ShopProcess,
    },
};
use redis::AsyncCommands;
use sqlx::{ConnectOptions, Executor, PgConnection, postgres::PgConnectOptions};
use tokio::{task::block_in_place, time::timeout};

/// The bytes of PostgreSQL's message `Sync`, with which a request ends.
const SYNC: usize = 5;

/// An instance on its own host: all of its connections pass through a network that can fail.
struct Host {
    shop: ShopProcess,
    postgres: Network,
    redis: Network,
    rabbitmq: Network,
    /// Its sessions in PostgreSQL.
    sessions: Vec<i32>,
}

impl Host {
    async fn start(sale: &Production, further: &[&str]) -> Host {
        let before = sessions(sale).await;
        let [postgres, redis, rabbitmq] = [&sale.database.url, &sale.stores.redis, &sale.stores.amqp];
        let networks = (Network::to(postgres).await, Network::to(redis).await, Network::to(rabbitmq).await);
        let (to_postgres, to_redis, to_rabbitmq) = (networks.0.unwrap(), networks.1.unwrap(), networks.2.unwrap());
        let mut args = sale.args_with(Server::Postgres, &to_postgres.instead_of(postgres), further);
        for (of, by_way) in [(redis, to_redis.instead_of(redis)), (rabbitmq, to_rabbitmq.instead_of(rabbitmq))] {
            let at = args.iter().position(|arg| arg == of.as_str()).unwrap();
            args[at] = by_way.to_string();
        }
        let shop = sale.instance_with(&args).await;
        let sessions = sessions(sale).await.into_iter().filter(|pid| !before.contains(pid)).collect();
        Host { shop, postgres: to_postgres, redis: to_redis, rabbitmq: to_rabbitmq, sessions }
    }

    /// Blocks all traffic to it and from it.
    fn silence(&self) {
        for network in [&self.postgres, &self.redis, &self.rabbitmq] {
            network.silence();
        }
    }

    /// Loses the host, without any peer noticing. Asserts that PostgreSQL still has its sessions.
    async fn lose(&mut self, sale: &Production) {
        self.silence();
        self.shop.kill().await.unwrap();
        let left = sessions(sale).await;
        assert!(self.sessions.iter().any(|pid| left.contains(pid)), "PostgreSQL has noticed: that is no lost host");
    }
}

/// PostgreSQL's sessions in this sale's database.
async fn sessions(sale: &Production) -> Vec<i32> {
    let query = "select pid from pg_stat_activity where datname = current_database()";
    sqlx::query_scalar(query).fetch_all(&sale.pool).await.unwrap()
}

/// The number of this database's sessions for which the condition is true.
async fn sessions_where(sale: &Production, condition: &str) -> i64 {
    let query = format!("select count(*) from pg_stat_activity where datname = current_database() and {condition}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&sale.pool).await.unwrap()
}

async fn leads(sale: &Production) {
    eventually("it leads", async || sale.logs().contains("keeps Redis in line")).await;
}

/// Waits until a buyer gets a unit at this instance; returns the order's id.
async fn sells(shop: &ShopProcess, buyer: i64) -> i64 {
    let began = Instant::now();
    let order_id = requests::sells(shop.address, buyer).await;
    eprintln!("sells after {:.1} s", began.elapsed().as_secs_f64());
    order_id
}

/// Waits until the order is confirmed.
async fn confirms(shop: &ShopProcess, buyer: i64, order_id: i64) {
    let began = Instant::now();
    becomes(&mut Connection::open(shop.address).await.unwrap(), buyer, order_id, "confirmed").await;
    eprintln!("confirmed after {:.1} s", began.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_leader_whose_host_is_lost_is_replaced() {
    let sale = Production::new(shared(), 5).await;
    let mut leader = Host::start(&sale, &[]).await;
    leads(&sale).await;
    let other = sale.instance(&[]).await;
    leader.lose(&sale).await;
    sale.flush().await;
    let order_id = sells(&other, 1).await;
    confirms(&other, 1, order_id).await;
    sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_worker_lost_in_its_transaction_does_not_block_the_sale() {
    let sale = Production::new(shared(), 5).await;
    let api = sale.instance(&["--role", "api"]).await;
    let mut worker = Host::start(&sale, &["--role", "worker"]).await;
    let mut connection = Connection::open(api.address).await.unwrap();
    worker.postgres.hold_request(b"COMMIT"); // from now on its transaction keeps the lock on the sale's row
    let first = queued(&click(&mut connection, 1).await);
    let holds = "state = 'idle in transaction' and pid in (select pid from pg_locks
                 where relation = 'sales'::regclass and mode = 'RowExclusiveLock' and granted)";
    eventually("it holds the lock", async || sessions_where(&sale, holds).await > 0).await;
    worker.lose(&sale).await;

    let second = queued(&click(&mut connection, 2).await);
    let _next = sale.instance(&[]).await;
    confirms(&api, 2, second).await;
    confirms(&api, 1, first).await;
    sale.settles_at(2).await;
}

/// A session that has a statement, but not the end of the request, is active and waits for its client. PostgreSQL 15 has no time
/// limit for that.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_request_that_arrived_in_part_does_not_lock_the_sale_for_good() {
    let sale = Production::new(shared(), 5).await;
    let shop = sale.instance(&[]).await;
    let network = Network::to(&sale.database.url).await.unwrap();
    let url = network.instead_of(&sale.database.url);
    let options = PgConnectOptions::from_str(url.as_str()).unwrap().application_name("oversold");
    let mut lost = options.connect().await.unwrap();
    let update = async |lost: &mut PgConnection| {
        lost.execute("begin").await.unwrap();
        sqlx::query("update sales set sold = sold where id = $1").bind(SALE).execute(&mut *lost).await.map(drop)
    };
    update(&mut lost).await.unwrap(); // from now on the statement is prepared
    lost.execute("rollback").await.unwrap();
    network.tear_request(&SALE.to_be_bytes(), SYNC);
    let waits = tokio::spawn(async move { update(&mut lost).await });
    let holds = "state = 'active' and wait_event = 'ClientRead'";
    eventually("it holds the row", async || sessions_where(&sale, holds).await > 0).await;

    let order_id = queued(&click(&mut Connection::open(shop.address).await.unwrap(), 1).await);
    confirms(&shop, 1, order_id).await;
    sale.settles_at(1).await;
    assert!(!waits.is_finished(), "the lost session has no answer");
    waits.abort();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_leader_that_is_frozen_is_replaced_and_does_no_harm_when_it_wakes() {
    let sale = Production::new(shared(), 5).await;
    let leader = sale.instance(&[]).await;
    leads(&sale).await;
    let other = sale.instance(&[]).await;
    leader.freeze().unwrap();
    sale.flush().await;
    let order_id = sells(&other, 1).await;
    confirms(&other, 1, order_id).await;
    let epoch = sale.epoch().await;
    leader.thaw().unwrap();
    let order_id = sells(&leader, 2).await;
    confirms(&leader, 2, order_id).await;
    sale.settles_at(2).await;
    assert_eq!(sale.epoch().await, epoch, "nobody has rebuilt what was in order");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn connections_that_are_silent_are_replaced() {
    let sale = Production::new(shared(), 20).await;
    let host = Host::start(&sale, &[]).await;
    let mut buyer = 1;
    let order_id = sells(&host.shop, buyer).await;
    confirms(&host.shop, buyer, order_id).await;
    // Three times, because something could run out with each loss: connections of a pool, for example.
    for (name, network) in
        [("Redis", &host.redis), ("RabbitMQ", &host.rabbitmq), ("PostgreSQL", &host.postgres)].repeat(3)
    {
        eprintln!("{name}:");
        let lost = network.opened();
        network.lose_open_connections();
        buyer += 1;
        let order_id = sells(&host.shop, buyer).await;
        confirms(&host.shop, buyer, order_id).await;
        assert!(network.opened() > lost, "{name}: by way of new connections");
    }
    sale.settles_at(10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_rabbitmq_that_blocks_publishers_is_named_and_waited_for_on_the_same_connections() {
    let mut services: Services = own();
    let sale = Production::new(&services, 20).await;
    let host = Host::start(&sale, &[]).await;
    let order_id = sells(&host.shop, 1).await;
    confirms(&host.shop, 1, order_id).await;
    block_in_place(|| services.block_rabbitmq(true)).unwrap();
    let mut orders = Vec::new();
    for buyer in 2..=4 {
        orders.push((buyer, sells(&host.shop, buyer).await)); // the sale continues
    }
    let mut named = Instant::now();
    eventually("it is named for three seconds", async || {
        if !readyz(host.shop.address).await.contains("RabbitMQ") {
            named = Instant::now();
        }
        named.elapsed() > Duration::from_secs(3)
    })
    .await;
    let (open, began) = (host.rabbitmq.open(), Instant::now());
    // Long enough for each publisher to have given up twice.
    while began.elapsed() < Duration::from_secs(25) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = host.rabbitmq.open();
        assert!(now <= open + 1, "connections pile up: {open} and {now} {:?} later", began.elapsed());
        assert!(readyz(host.shop.address).await.contains("RabbitMQ"));
    }
    block_in_place(|| services.block_rabbitmq(false)).unwrap();
    for (buyer, order_id) in orders {
        confirms(&host.shop, buyer, order_id).await;
    }
    eventually("it is ready", async || readyz(host.shop.address).await.contains("\"missing\":[]")).await;
    sale.settles_at(4).await;
}

/// Redis's keys of the sale while it is being rebuilt, or an empty list.
async fn staged(sale: &Production) -> Vec<String> {
    let mut redis = sale.stores.connect().await.unwrap();
    let pattern = format!("{}:{{sale:{SALE}}}:new:*", sale.stores.namespace);
    redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await.unwrap()
}

/// A leader that is about to write a sale into Redis: its writes are held in the network, and it is frozen. Meanwhile another
/// instance has rebuilt the sale and sells.
async fn overtaken(sale: &Production) -> (Host, ShopProcess) {
    let leader = Host::start(sale, &[]).await;
    leads(sale).await;
    let order_id = sells(&leader.shop, 1).await;
    confirms(&leader.shop, 1, order_id).await;
    let mut is_held = false;
    for _ in 0..5 {
        leader.redis.delay(Duration::from_millis(100)); // so that time passes between two of its writes
        sale.flush().await;
        eventually("it is in the middle of a rebuild", async || !staged(sale).await.is_empty()).await;
        leader.redis.hold_request(b":fence");
        let held = eventually("its last write is under way", async || leader.redis.holds(b":fence"));
        // On a busy machine its last write may have passed by now.
        is_held = timeout(Duration::from_secs(10), held).await.is_ok();
        if is_held {
            break;
        }
        leader.redis.restore();
    }
    assert!(is_held, "its last write is never under way");
    leader.shop.freeze().unwrap();

    let other = sale.instance(&[]).await;
    let order_id = sells(&other, 2).await;
    confirms(&other, 2, order_id).await;
    sale.settles_at(2).await;
    (leader, other)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn writes_of_a_leader_that_was_replaced_are_refused_by_redis() {
    let sale = Production::new(shared(), 5).await;
    let (leader, other) = overtaken(&sale).await;
    let before = sale.everything().await;
    // Its writes arrive now, while it cannot know yet that it is no longer the leader.
    leader.redis.restore();
    eventually("all has arrived", async || !leader.redis.is_holding()).await;
    assert_eq!(sale.everything().await, before);
    // It continues where it was frozen.
    let tells = async || sale.logs().matches("the lease on upkeep").count();
    let told = tells().await;
    leader.shop.thaw().unwrap();
    eventually("it knows", async || tells().await > told).await;
    assert_eq!(sale.everything().await, before);
    for buyer in [3, 4] {
        let order_id = sells(&other, buyer).await;
        confirms(&other, buyer, order_id).await;
    }
    let order_id = sells(&leader.shop, 5).await;
    confirms(&leader.shop, 5, order_id).await;
    assert_eq!(held(&sale).await, 5);
    sale.settles_at(5).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_clean_stop_hands_leadership_over_at_once() {
    let sale = Production::new(shared(), 5).await;
    let [first, second] = pair(&sale, &[]).await;
    leads(&sale).await;
    let number = async || -> i64 {
        let number = "select number from leases where name = 'upkeep' and expires_at > now_ms()";
        sqlx::query_scalar(number).fetch_optional(&sale.pool).await.unwrap().unwrap_or_default()
    };
    let led = number().await; // 1, unless the leader had to try again
    assert!(led >= 1);
    first.stop().await;
    second.stop().await;
    assert_eq!(number().await, 0, "released");
    let mut redis = sale.stores.connect().await.unwrap();
    let _: i64 = redis.del(sale.stores.key(SALE, "sale")).await.unwrap();
    let third = sale.instance(&[]).await;
    sells(&third, 1).await;
    assert!(number().await > led, "each holder has a number of its own");
}
