//! Chapter 6 with its three servers, and ways to break one of them.

use std::{net::SocketAddr, process::Command, sync::OnceLock};

use super::{SALE, eventually, loadtest, requests::reservation};
use lapin::{BasicProperties, options::BasicPublishOptions};
use loadtest::{
    lab::{
        Backend, FreshDatabase, Lab,
        servers::{Server, Services, nginx},
        shop_process::ShopProcess,
        stores::Stores,
    },
    verdict::ledger::Ledger,
    version::Version,
};
use redis::AsyncCommands;
use serde_json::Value;
use sqlx::{AnyPool, AssertSqlSafe, Connection, PgConnection};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::block_in_place,
};
use url::Url;
use v1_naive::shop::sales::Sale;

/// Servers that all tests of a program share if they do not break them.
pub fn shared() -> &'static Services {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    block_in_place(|| SERVICES.get_or_init(own))
}

/// The test's own servers, which it may kill.
pub fn own() -> Services {
    Services::start(&loadtest(), &Server::OF_SHOPS).expect("the servers start")
}

/// The test's own servers, with a Redis Cluster.
pub fn own_with_cluster() -> Services {
    let servers = [Server::Postgres, Server::RedisCluster, Server::RabbitMq, Server::Provider];
    Services::start(&loadtest(), &servers).expect("the servers start")
}

/// A cluster of the test's own: PostgreSQL with a synchronous standby, or three nodes of RabbitMQ.
pub fn cluster(server: Server) -> Services {
    block_in_place(|| Services::start_replicated(&loadtest(), &[server])).expect("the cluster starts")
}

/// A sale of chapter 6 with its own database, keys, queues and instances.
pub struct Production {
    pub lab: Lab,
    pub database: FreshDatabase,
    pub stores: Stores,
    pub pool: AnyPool,
    /// The sale that the test checks.
    pub sale: i64,
    _place: SemaphorePermit<'static>,
}

/// The number of tests that may use the servers at once, on any machine. PostgreSQL allows 400 connections, and two instances
/// open up to 40.
static PLACES: Semaphore = Semaphore::const_new(8);

impl Production {
    /// Creates [`SALE`]. No instance runs yet.
    pub async fn new(services: &Services, stock: i64) -> Production {
        Production::on(services, services, stock).await
    }

    /// Creates [`SALE`] with the servers that `first` has, and for the others with those of `services`.
    pub async fn on(first: &Services, services: &Services, stock: i64) -> Production {
        let place = PLACES.acquire().await.unwrap();
        let url = |server| first.url(server).or(services.url(server)).unwrap().clone();
        let lab = Lab::open(loadtest(), &Backend::Server(url(Server::Postgres))).await.unwrap();
        let database = lab.fresh_database().await.unwrap();
        let namespace = database.name().to_owned();
        let nodes = [Server::Redis, Server::RedisCluster].map(|server| services.nodes(server)).concat();
        let stores = Stores {
            redis: nodes[0].clone(),
            redis_peers: nodes[1..].to_vec(),
            amqp: url(Server::RabbitMq),
            amqp_peers: Vec::new(),
            provider: url(Server::Provider),
            namespace,
        };
        let pool = database.connect().await.unwrap();
        let production = Production { lab, database, stores, pool, sale: SALE, _place: place };
        production.put_up(&[Sale::open(SALE, stock)]).await;
        production
    }

    /// Creates these sales in SQL and Redis.
    pub async fn put_up(&self, sales: &[Sale]) {
        self.stores.put_up(&self.database.url, sales).await.unwrap();
    }

    /// A new session, when no other one is open: PostgreSQL counts what a session has read when it ends, if not before. Closes
    /// the pool.
    pub async fn only_session(&self) -> PgConnection {
        self.pool.close().await;
        let mut session = PgConnection::connect(self.database.url.as_str()).await.unwrap();
        let others = "select count(*) from pg_stat_activity
                      where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        eventually("all other sessions have ended", async || {
            sqlx::query_scalar::<_, i64>(others).fetch_one(&mut session).await.unwrap() == 0
        })
        .await;
        session
    }

    /// The arguments of an instance.
    pub fn args(&self, further: &[&str]) -> Vec<String> {
        let mut args = vec!["--database-url".to_owned(), self.database.url.to_string()];
        args.extend(self.stores.shop_args());
        args.extend(Version::V6.wide_limits().iter().chain(further).map(|&arg| arg.to_owned()));
        args
    }

    /// The arguments of an instance, with one server at another address.
    pub fn args_with(&self, server: Server, url: &Url, further: &[&str]) -> Vec<String> {
        let flag = match server {
            Server::Postgres => "--database-url",
            Server::Redis => "--redis-url",
            Server::RabbitMq => "--amqp-url",
            Server::Provider => "--provider-url",
            Server::RedisCluster | Server::MariaDb | Server::Memcached | Server::ZooKeeper => {
                panic!("no shop uses {server}")
            }
        };
        let mut args = self.args(further);
        let at = args.iter().position(|arg| arg == flag).unwrap();
        args[at + 1] = url.to_string();
        args
    }

    /// Deletes all of this shop's keys in Redis, as FLUSHALL does for all shops.
    pub async fn flush(&self) {
        let mut redis = self.stores.connect().await.unwrap();
        let mut keys = redis::cmd("KEYS");
        let keys: Vec<String> = keys.arg(format!("{}:*", self.stores.namespace)).query_async(&mut redis).await.unwrap();
        redis.del::<_, ()>(keys).await.unwrap();
    }

    /// The epoch of the sale in SQL.
    pub async fn epoch(&self) -> i64 {
        let query = sqlx::query_scalar("select epoch from sales where id = $1").bind(self.sale);
        query.fetch_one(&self.pool).await.unwrap()
    }

    /// Redis's clock.
    pub async fn redis_ms(&self) -> i64 {
        let mut redis = self.stores.connect().await.unwrap();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
        seconds * 1000 + micros / 1000
    }

    /// Ends the time to pay of all orders, also of paid ones, where it must not matter.
    pub async fn expire(&self) {
        sqlx::query("update orders set pay_by = 0").execute(&self.pool).await.unwrap();
    }

    /// Ends the time to pay of this order.
    pub async fn expire_order(&self, id: i64) {
        sqlx::query("update orders set pay_by = 0 where id = $1").bind(id).execute(&self.pool).await.unwrap();
    }

    pub async fn instance(&self, further: &[&str]) -> ShopProcess {
        self.instance_with(&self.args(further)).await
    }

    pub async fn instance_with(&self, args: &[String]) -> ShopProcess {
        let log = self.lab.folder.path().join(format!("{:x}.log", fastrand::u64(..)));
        ShopProcess::start(&self.lab.loadtest, Version::V6, args, log).await.unwrap()
    }

    /// nginx in front of these instances; every client may send `X-Forwarded-For`.
    pub async fn nginx(&self, shops: &[&ShopProcess]) -> ShopProcess {
        let instances: Vec<SocketAddr> = shops.iter().map(|shop| shop.address).collect();
        let log = self.lab.folder.path().join("nginx.log");
        nginx::in_front_of(&self.lab.loadtest, &instances, log).await.unwrap()
    }

    /// Kills a server. With RabbitMQ, first waits until the queues are on disk, because a kill before that would lose them.
    pub async fn kill(&self, services: &mut Services, server: Server) {
        if server == Server::RabbitMq {
            let queue = format!("{}.orders", self.stores.namespace);
            block_in_place(|| services.wait_for_queue(&queue)).unwrap();
        }
        block_in_place(|| services.kill(server)).unwrap();
    }

    /// Publishes a message to the queue, as a relay does.
    pub async fn publish(&self, body: &[u8]) {
        self.publish_to("orders", BasicProperties::default(), body).await;
    }

    /// Publishes a message with these properties to a queue.
    pub async fn publish_to(&self, queue: &str, properties: BasicProperties, body: &[u8]) {
        let connection = self.stores.queues().await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("{}.{queue}", self.stores.namespace);
        let (options, persistent) = (BasicPublishOptions::default(), properties.with_delivery_mode(2));
        channel.confirm_select(Default::default()).await.unwrap();
        channel.basic_publish("".into(), queue.into(), options, body, persistent).await.unwrap().await.unwrap();
        connection.close(200, "".into()).await.unwrap();
    }

    /// The reservations that Redis holds, in the form of messages.
    pub async fn held(&self) -> Vec<Value> {
        let mut redis = self.stores.connect_to(SALE).await.unwrap();
        let held: Vec<(Vec<u8>, Vec<u8>)> = redis.hgetall(self.stores.key(SALE, "held")).await.unwrap();
        let number = |bytes: &[u8]| i64::from_be_bytes(bytes[..8].try_into().unwrap());
        let one = |(buyer, held): &(Vec<u8>, Vec<u8>)| {
            let [order, path, request] = [0, 8, 16].map(|at| number(&held[at..]));
            reservation(order, number(buyer), path, request)
        };
        held.iter().map(one).collect()
    }

    /// The reservation of one buyer.
    pub async fn reservation(&self, buyer: i64) -> Value {
        let of = v6_production::buyer_id(&buyer.to_string());
        self.held().await.into_iter().find(|held| held["buyer_id"] == of).expect("a reservation")
    }

    /// The logs of all instances.
    pub fn logs(&self) -> String {
        let files = std::fs::read_dir(self.lab.folder.path()).unwrap().flatten();
        files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default()).collect()
    }

    /// The sale's state in SQL, Redis and the queues.
    pub async fn ledger(&self) -> Ledger {
        Ledger::read(&self.pool, Some(&self.stores), &[self.sale]).await.unwrap()
    }

    /// The number of the sale's orders with this status.
    pub async fn orders(&self, status: &str) -> i64 {
        let query = "select count(*) from orders where sale_id = $1 and status = $2";
        sqlx::query_scalar(query).bind(self.sale).bind(status).fetch_one(&self.pool).await.unwrap()
    }

    /// Every row, and the sale's keys in Redis: everything that a request could change.
    pub async fn everything(&self) -> String {
        let mut all = String::new();
        for table in ["sales", "orders", "payments", "denied"] {
            let rows = format!("select coalesce(string_agg(t::text, ' ' order by t::text), '') from {table} t");
            let rows: String = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_one(&self.pool).await.unwrap();
            all += &format!("{table} {rows}\n");
        }
        let mut redis = self.stores.connect().await.unwrap();
        for what in ["sale", "held"] {
            let mut hash: Vec<Vec<u8>> =
                redis::cmd("HGETALL").arg(self.stores.key(SALE, what)).query_async(&mut redis).await.unwrap();
            hash.sort_unstable();
            all += &format!("{what} {hash:?}\n");
        }
        format!("{all}{:?}", self.ledger().await)
    }

    /// Waits until nothing is in progress. Asserts that SQL, `sold`, Redis and the stock agree, and that this many orders hold a
    /// unit.
    pub async fn settles_at(&self, orders: usize) {
        let is_unfinished = |ledger: &Ledger| ledger.stores.as_ref().is_none_or(|stores| stores.unfinished != 0);
        let mut ledger = Ledger::default();
        eventually(&format!("{orders} orders, and nothing on its way"), async || {
            // A rebuild starts its epoch in SQL and ends in Redis.
            let Ok(mut redis) = self.stores.connect_to(self.sale).await else { return false };
            let in_redis: Option<i64> =
                redis.hget(self.stores.key(self.sale, "sale"), "epoch").await.unwrap_or_default();
            let in_sql = "select epoch from sales where id = $1";
            let in_sql = sqlx::query_scalar(in_sql).bind(self.sale).fetch_one(&self.pool).await.ok();
            let Ok(first) = Ledger::read(&self.pool, Some(&self.stores), &[self.sale]).await else { return false };
            if in_redis != in_sql || first.orders.len() < orders || is_unfinished(&first) {
                return false;
            }
            // The numbers of one reading are not of one moment. And RabbitMQ reports that a queue is empty if the queue does not answer
            // within 250 ms.
            let Ok(again) = Ledger::read(&self.pool, Some(&self.stores), &[self.sale]).await else { return false };
            ledger = again;
            !is_unfinished(&ledger)
        })
        .await;
        let (sale, stores) = (ledger.sales[0], ledger.stores.unwrap());
        let redis = stores.sales[&self.sale];
        let orders = orders as i64;
        assert_eq!(
            (ledger.orders.len() as i64, sale.sold, redis.held, redis.left, stores.unfinished),
            (orders, orders, orders, sale.stock - orders, 0),
            "orders, sold, held, left, unfinished"
        );
    }
}

impl Drop for Production {
    /// If the test fails, prints the end of each instance's log, because a rare failure cannot be repeated.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for file in std::fs::read_dir(self.lab.folder.path()).into_iter().flatten().flatten() {
            let log = std::fs::read_to_string(file.path()).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("{}:\n{}", file.path().display(), last.join("\n"));
        }
    }
}

/// Two instances.
pub async fn pair(sale: &Production, args: &[&str]) -> [ShopProcess; 2] {
    [sale.instance(args).await, sale.instance(args).await]
}

/// Runs one of the operator's commands, and again if a server did not answer it in time, at most five times, as an operator would.
pub fn operate(sale: &Production, command: &[&str]) {
    let mut said = operate_says(sale, command);
    for _ in 0..4 {
        let Err(why) = &said else { return };
        eprintln!("{why}");
        said = operate_says(sale, command);
    }
    said.unwrap();
}

/// Runs one of the operator's commands and returns its output or error.
pub fn operate_says(sale: &Production, command: &[&str]) -> Result<String, String> {
    block_in_place(|| operate_with(&sale.args(command)))
}

/// The same with all arguments. Blocks.
pub fn operate_with(args: &[String]) -> Result<String, String> {
    let output = Command::new(loadtest()).args(["serve", "v6"]).args(args).output().unwrap();
    match output.status.code() {
        Some(0) => Ok(String::from_utf8(output.stdout).unwrap()),
        _ => Err(format!("{output:?}")),
    }
}

/// Reservations in Redis.
pub async fn held(sale: &Production) -> i64 {
    sale.stores.connect_to(SALE).await.unwrap().hlen(sale.stores.key(SALE, "held")).await.unwrap()
}
