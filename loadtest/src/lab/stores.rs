//! Chapter 6's Redis, RabbitMQ and payment provider. Each run has its own keys and queues there. The load test reads them
//! directly, never through the shop.

mod nodes;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use clap::Parser;
use lapin::{
    options::{BasicGetOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use redis::AsyncCommands;
use sqlx::AnyPool;
use tokio::time::sleep;
use url::Url;
use v1_naive::shop::sales::Sale;
use v6_production::{OrderId, Reservation};

pub use self::nodes::connect;

/// How long reservations may take from Redis to SQL after the last purchase.
const TO_BE_QUIET: Duration = Duration::from_secs(60);
/// The longest time until all instances know a new sale. An operator creates it long before it opens.
const TO_BE_KNOWN: Duration = Duration::from_millis(600);
/// How often sales that could not be created are created again: on a busy machine a server may be slow, or the lease be lost.
const AGAIN: usize = 4;
/// The queues of a shop, without the namespace before their names.
const QUEUES: [&str; 4] = ["orders", "dead", "parked", "later"];

/// A run's own namespace on Redis and RabbitMQ, and the payment provider.
pub struct Stores {
    /// The URL of Redis, or of the first node of a Redis Cluster.
    pub redis: Url,
    /// The other nodes of the cluster; empty for one server.
    pub redis_peers: Vec<Url>,
    /// The URL of RabbitMQ, or of the first node of a cluster.
    pub amqp: Url,
    /// The other nodes of the cluster; empty for one server.
    pub amqp_peers: Vec<Url>,
    /// The URL of the payment provider.
    pub provider: Url,
    /// The prefix of all keys and queues.
    pub namespace: String,
}

/// The contents of Redis and the queues.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InStores {
    /// Each sale's contents in Redis, by sale id.
    pub sales: HashMap<i64, InRedis>,
    /// Outbox entries and queued messages that are not processed yet.
    pub unfinished: i64,
}

/// One sale in Redis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InRedis {
    /// Units left in the stock.
    pub left: i64,
    /// Buyers who hold a unit.
    pub held: i64,
}

impl Stores {
    /// Command-line arguments that make a shop use these stores.
    pub fn shop_args(&self) -> Vec<String> {
        let Stores { provider, namespace, .. } = self;
        let redis: Vec<&str> = self.redis_nodes().map(Url::as_str).collect();
        let amqp: Vec<&str> = self.amqp_nodes().map(Url::as_str).collect();
        let (redis, amqp) = (redis.join(","), amqp.join(","));
        let args = [
            ("--redis-url", redis.as_str()),
            ("--amqp-url", amqp.as_str()),
            ("--provider-url", provider.as_str()),
            ("--namespace", namespace.as_str()),
        ];
        args.into_iter().flat_map(|(flag, value)| [flag.into(), value.into()]).collect()
    }

    /// Creates sales in SQL and in Redis, and waits until the instances know them.
    ///
    /// # Errors
    /// A server fails.
    pub async fn put_up(&self, database: &Url, sales: &[Sale]) -> anyhow::Result<()> {
        let args = ["shop", "--database-url", database.as_str(), "--pool-size=1"].map(str::to_owned);
        let config = v6_production::Config::try_parse_from(args.into_iter().chain(self.shop_args()))?;
        let mut put_up = v6_production::put_up(&config, sales).await;
        for _ in 0..AGAIN {
            if put_up.is_ok() {
                break;
            }
            let _ = self.forget_half_created(database, sales).await;
            put_up = v6_production::put_up(&config, sales).await;
        }
        put_up?;
        sleep(TO_BE_KNOWN).await;
        Ok(())
    }

    /// Makes sales without orders new again that Redis does not have. Otherwise they would be left to a rebuild, which gives them a
    /// later epoch.
    async fn forget_half_created(&self, database: &Url, sales: &[Sale]) -> anyhow::Result<()> {
        let pool = super::database::connect(database).await?;
        for sale in sales {
            let has_it: bool = self.connect_to(sale.id).await?.hexists(self.key(sale.id, "sale"), "replid").await?;
            if !has_it {
                let forget = "update sales set epoch = 0
                              where id = $1 and epoch = 1 and not exists (select from orders where sale_id = $1)";
                let _ = sqlx::query(forget).bind(sale.id).execute(&pool).await; // perhaps there is no table yet
            }
        }
        pool.close().await;
        Ok(())
    }

    /// Waits until all reservations of these sales are orders and Redis has every sale, at most 60 s. An emptied Redis has no
    /// outbox, so it would look idle before the shop has rebuilt it.
    ///
    /// # Errors
    /// A server fails.
    pub async fn wait_until_quiet(&self, pool: &AnyPool, sales: &[i64]) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.is_quiet(pool, sales).await? && begun.elapsed() < TO_BE_QUIET {
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Whether nothing is in progress. A message that a lost worker holds is in no queue's count, so the held units must also
    /// equal the orders.
    async fn is_quiet(&self, pool: &AnyPool, sales: &[i64]) -> anyhow::Result<bool> {
        if self.unfinished(sales).await? > 0 {
            return Ok(false);
        }
        for &sale in sales {
            let mut redis = self.connect_to(sale).await?;
            let info: String = redis::cmd("INFO").arg("replication").query_async(&mut redis).await?;
            // A sale that was loaded under another `replid` is about to be rebuilt.
            let made: (Option<i64>, Option<String>) = redis.hmget(self.key(sale, "sale"), &["epoch", "replid"]).await?;
            let ready = matches!(made, (Some(1..), Some(replid)) if info.contains(&format!("master_replid:{replid}")));
            let held: i64 = redis.hlen(self.key(sale, "held")).await?;
            let active = "select count(*) from orders where sale_id = $1 and status in ('confirmed', 'paid')";
            let active: i64 = sqlx::query_scalar(active).bind(sale).fetch_one(pool).await?;
            if !ready || held != active {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the contents of Redis and the queues.
    ///
    /// # Errors
    /// A server fails.
    pub async fn read(&self, sales: &[i64]) -> anyhow::Result<InStores> {
        let mut stores = InStores { unfinished: self.unfinished(sales).await?, ..InStores::default() };
        for &sale in sales {
            let mut redis = self.connect_to(sale).await?;
            let left: Option<i64> = redis.hget(self.key(sale, "sale"), "stock").await?;
            let held = redis.hlen(self.key(sale, "held")).await?;
            stores.sales.insert(sale, InRedis { left: left.unwrap_or_default(), held });
        }
        Ok(stores)
    }

    /// Outbox entries and queued messages, without messages that a worker holds unacknowledged.
    async fn unfinished(&self, sales: &[i64]) -> anyhow::Result<i64> {
        let mut unfinished = 0;
        for &sale in sales {
            let waiting: i64 = self.connect_to(sale).await?.xlen(self.key(sale, "outbox")).await?;
            unfinished += waiting;
        }
        for queue in QUEUES {
            unfinished += i64::from(self.messages(queue).await?);
        }
        Ok(unfinished)
    }

    /// Messages that repeat work: about orders that SQL has, or from an ended epoch, which SQL has declared lost. RabbitMQ
    /// redelivers them when it gives up a lost worker, and they change nothing. No instance may run, because this call takes the
    /// messages for a moment.
    ///
    /// # Errors
    /// A server fails.
    pub async fn repeated(&self, pool: &AnyPool, sale: i64) -> anyhow::Result<i64> {
        let orders = sqlx::query_scalar("select id from orders where sale_id = $1").bind(sale).fetch_all(pool).await?;
        let orders: HashSet<i64> = orders.into_iter().collect();
        let epoch = sqlx::query_scalar("select epoch from sales where id = $1").bind(sale).fetch_one(pool).await?;
        let is_known = |order: OrderId| orders.contains(&order.0) || order.epoch() < epoch;
        let connection = self.queues().await?;
        let channel = connection.create_channel().await?;
        let (queue, mut repeated) = (format!("{}.orders", self.namespace), 0);
        while let Some(message) = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await? {
            let reservations: Vec<Reservation> = serde_json::from_slice(&message.data).unwrap_or_default();
            let known = reservations.iter().all(|one| is_known(one.order_id));
            let is_mark = message.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == "mark");
            repeated += i64::from(is_mark || known && !reservations.is_empty());
        }
        connection.close(200, "".into()).await?; // no message was acknowledged, so all return to the queue
        Ok(repeated)
    }

    /// Ready messages in the queue `orders`, `dead`, `parked` or `later`; those that a worker holds are not counted.
    ///
    /// # Errors
    /// RabbitMQ fails, or the queue does not exist.
    pub async fn messages(&self, queue: &str) -> anyhow::Result<u32> {
        let connection = self.queues().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let name = format!("{}.{queue}", self.namespace);
        let channel = connection.create_channel().await?; // must live until the connection is closed
        let queue = channel.queue_declare(name.into(), options, FieldTable::default()).await?;
        connection.close(200, "".into()).await?;
        Ok(queue.message_count())
    }

    /// Deletes the run's keys and queues.
    ///
    /// # Errors
    /// A server fails.
    pub async fn remove(self) -> anyhow::Result<()> {
        for primary in self.primaries().await? {
            let mut redis = connect(&primary).await?;
            let mut keys: Vec<String> = Vec::new();
            let mut found = redis.scan_match::<_, String>(format!("{}:*", self.namespace)).await?;
            while let Some(key) = found.next_item().await {
                keys.push(key?);
            }
            drop(found);
            for key in keys {
                redis.unlink::<_, ()>(key).await?;
            }
        }
        let connection = self.queues().await?;
        let channel = connection.create_channel().await?;
        for queue in QUEUES {
            let name = format!("{}.{queue}", self.namespace);
            channel.queue_delete(name.into(), QueueDeleteOptions::default()).await?;
        }
        connection.close(200, "".into()).await?;
        Ok(())
    }

    /// A sale's key in Redis; `what` is `sale`, `held` or `outbox`.
    pub fn key(&self, sale: i64, what: &str) -> String {
        format!("{}:{{sale:{sale}}}:{what}", self.namespace)
    }
}
