//! Redis: the names of keys, and the connections.

/// Whether a failed command was executed.
mod failure;
/// The connection that all requests share.
mod shared;

use std::{pin::Pin, time::Duration};

use anyhow::{Context, bail, ensure};
use futures_util::StreamExt;
use redis::{
    AsyncConnectionConfig, Client, Msg, RedisResult, Value,
    aio::{ConnectionManagerConfig, MultiplexedConnection, PubSubSink, PubSubStream},
};
use tokio::{
    sync::watch,
    time::{Interval, interval, timeout},
};
use url::Url;

pub(crate) use self::failure::{Failure, failure};
use self::shared::SharedConnection;
use crate::order_id::MOST_NUMBERS;

/// How long Redis keeps a sale after it has closed, for late requests: two days, in milliseconds.
pub(crate) const KEPT_MS: i64 = 2 * 86_400_000;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a sale counts as missed after a request for it.
const MISSED: Duration = Duration::from_secs(10);
/// How often a connection that only listens is pinged.
const PING_EVERY: Duration = Duration::from_secs(2);

/// Redis, with the keys of one shop.
#[derive(Clone)]
pub(crate) struct RedisStore {
    /// The connection that all requests share. It reconnects by itself.
    pub(crate) shared: SharedConnection,
    client: Client,
    namespace: String,
}

/// The keys of one sale. The braces in their names put all of them into the same slot of a Redis Cluster.
pub(crate) struct SaleKeys {
    /// A hash: `epoch`, `replid` (the replication id of the data when the sale was rebuilt; without it the sale is closed), `stock`
    /// (units left), `units` (in total), `number` (of the last order), `opens_at`, `closes_at`, `denials` (the version of its deny
    /// list).
    pub(crate) sale: String,
    /// A hash: for each buyer with a unit, the ids of the order, of the path and of the request, 8 bytes each.
    pub(crate) held: String,
    /// A stream: the reservations that are not in the queue yet.
    pub(crate) outbox: String,
    /// A hash: for each buyer, the attempts in the current frequency window; and when it `ends`, in milliseconds since 1970.
    pub(crate) tries: String,
    /// A set: the buyers and paths of released units, and of puzzles with a wrong answer.
    pub(crate) spent: String,
    /// A hash: for each buyer and request whose order has ended, the order.
    pub(crate) ended: String,
    /// A set: the buyers on the deny list.
    pub(crate) denied: String,
    /// A number: the highest fencing token of all writes so far.
    pub(crate) fence: String,
}

/// The state of a sale in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InRedis {
    /// The epoch in which units can be sold; 0 if the sale is closed.
    pub(crate) epoch: i64,
    /// When the sale opens and closes, in milliseconds since 1970.
    pub(crate) window: [Option<i64>; 2],
    /// Units in total, and units left.
    pub(crate) units: Option<i64>,
    pub(crate) left: Option<i64>,
}

impl SaleKeys {
    fn new(key: impl Fn(&str) -> String) -> SaleKeys {
        let (sale, held, outbox, tries) = (key("sale"), key("held"), key("outbox"), key("tries"));
        SaleKeys {
            sale,
            held,
            outbox,
            tries,
            spent: key("spent"),
            ended: key("ended"),
            denied: key("denied"),
            fence: key("fence"),
        }
    }
}

impl RedisStore {
    /// Connects. `timeout` is the longest wait for the answer to a command.
    pub(crate) async fn connect(url: &Url, namespace: &str, timeout: Duration) -> anyhow::Result<RedisStore> {
        let client = Client::open(url.as_str()).context("REDIS_URL")?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(1) // callers pause and retry by themselves
            .set_max_delay(Duration::from_millis(500));
        let mut shared = SharedConnection::open(client.clone(), config).await?;
        // A Redis that is still loading its file answers with an error.
        let _: String = redis::cmd("PING").query_async(&mut shared).await?;
        Ok(RedisStore { shared, client, namespace: namespace.into() })
    }

    /// A new connection, for blocking commands.
    pub(crate) async fn own_connection(&self, timeout: Duration) -> anyhow::Result<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(timeout));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// Subscribes to a channel.
    pub(crate) async fn listen(&self, channel: &str) -> anyhow::Result<Listener> {
        let replaced = self.shared.replaced();
        let mut listener = timeout(CONNECT, self.client.get_async_pubsub()).await??;
        timeout(CONNECT, listener.subscribe(channel)).await??;
        let (sink, news) = listener.split();
        Ok(Listener { sink, news: Box::pin(news), pings: interval(PING_EVERY), replaced })
    }

    /// The keys of a sale.
    pub(crate) fn keys(&self, sale_id: i64) -> SaleKeys {
        SaleKeys::new(|what| format!("{}:{{sale:{sale_id}}}:{what}", self.namespace))
    }

    /// Temporary keys of a sale, which the holder of the lease with this number writes before they replace the others.
    pub(crate) fn staged_keys(&self, sale_id: i64, number: i64) -> SaleKeys {
        SaleKeys::new(|what| format!("{}:{{sale:{sale_id}}}:new:{number}:{what}", self.namespace))
    }

    /// Checks that Redis answers and accepts writes.
    pub(crate) async fn try_write(&self) -> anyhow::Result<()> {
        let mut write = redis::cmd("SET");
        write.arg(format!("{}:alive", self.namespace)).arg(1).arg("EX").arg(60);
        Ok(write.query_async(&mut self.shared.clone()).await?)
    }

    /// The replication id of Redis's data. If it differs from the one before, the last writes may be missing.
    ///
    /// # Errors
    /// Redis does not answer, or it is a replica, whose writes would be lost.
    pub(crate) async fn replid(&self) -> anyhow::Result<String> {
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut self.shared.clone()).await?;
        ensure!(info.contains("role:master"), "Redis is a replica");
        let mut lines = info.lines().filter_map(|line| line.strip_prefix("master_replid:"));
        lines.next().map(str::to_owned).context("Redis does not say which data it has")
    }

    /// The epochs of these sales; 0 for a sale that is missing, closed, or was rebuilt with other data.
    pub(crate) async fn epochs(&self, sales: &[i64]) -> anyhow::Result<Vec<i64>> {
        Ok(self.made(sales).await?.iter().map(|sale| sale.epoch).collect())
    }

    /// The state of these sales.
    pub(crate) async fn made(&self, sales: &[i64]) -> anyhow::Result<Vec<InRedis>> {
        if sales.is_empty() {
            return Ok(Vec::new()); // a pipeline of no commands is an error
        }
        let replid = self.replid().await?;
        let mut read = redis::pipe();
        for &sale in sales {
            read.hmget(self.keys(sale).sale, &["epoch", "number", "opens_at", "closes_at", "units", "stock"]);
            read.hget(self.keys(sale).sale, "replid");
        }
        let found: Vec<redis::Value> = read.query_async(&mut self.shared.clone()).await?;
        let made = |sale: &[redis::Value]| {
            let [epoch, number, opens_at, closes_at, units, left]: [Option<i64>; 6] =
                redis::from_redis_value_ref(&sale[0])?;
            let made_for: Option<String> = redis::from_redis_value_ref(&sale[1])?;
            let can_sell = made_for.as_ref() == Some(&replid) && number.is_some_and(|number| number < MOST_NUMBERS);
            let epoch = if can_sell { epoch.unwrap_or_default() } else { 0 };
            anyhow::Ok(InRedis { epoch, window: [opens_at, closes_at], units, left })
        };
        found.chunks_exact(2).map(made).collect()
    }

    /// The name of a channel between instances: `stock` (sold out, restocked) or `orders` (changed).
    pub(crate) fn channel(&self, about: &str) -> String {
        format!("{}:{about}", self.namespace)
    }

    /// The key that says that a mark has passed the queue.
    pub(crate) fn mark(&self, name: &str) -> String {
        format!("{}:mark:{name}", self.namespace)
    }

    /// Notes that buyers ask for this closed sale, so that it is rebuilt first.
    pub(crate) async fn miss(&self, sale_id: i64) {
        let mut note = redis::pipe();
        note.sadd(self.missed(), sale_id).expire(self.missed(), MISSED.as_secs() as i64);
        let noted: RedisResult<()> = note.query_async(&mut self.shared.clone()).await;
        if let Err(error) = noted {
            tracing::debug!("sale {sale_id} is missed: {error}");
        }
    }

    /// The key of a set: the sales that were missed recently.
    pub(crate) fn missed(&self) -> String {
        format!("{}:missed", self.namespace)
    }

    /// Logs a warning if Redis can lose data: without its append-only file a restart loses all reservations, and with eviction a
    /// full Redis deletes keys.
    pub(crate) async fn check_durability(&self) {
        for (setting, safe) in [("appendonly", "yes"), ("maxmemory-policy", "noeviction")] {
            let mut connection = self.shared.clone();
            let asked = redis::cmd("CONFIG").arg("GET").arg(setting).query_async(&mut connection).await;
            let Ok((_, value)): redis::RedisResult<(String, String)> = asked else { continue }; // not allowed to ask
            if value != safe {
                tracing::warn!("Redis runs with {setting} {value}: set it to {safe}, or units can be lost");
            }
        }
    }
}

/// `N` numbers of 8 bytes each, as the scripts write them; `None` if `bytes` has another length.
pub(crate) fn numbers<const N: usize>(bytes: &[u8]) -> Option<[i64; N]> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    Some(<[[u8; 8]; N]>::try_from(numbers).ok()?.map(i64::from_be_bytes))
}

/// A connection that only listens.
pub(crate) struct Listener {
    sink: PubSubSink,
    news: Pin<Box<PubSubStream>>,
    pings: Interval,
    replaced: watch::Receiver<u64>,
}

impl Listener {
    /// The next message. Pings the server, because a connection that only listens would not notice that the server is gone.
    ///
    /// # Errors
    /// The connection is closed or does not answer, or the shared connection was replaced.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Msg> {
        loop {
            tokio::select! {
                message = self.news.next() => return message.context("Redis hung up"),
                // The name in the URL may lead to another server now.
                _ = self.replaced.changed() => bail!("the way to Redis has changed"),
                _ = self.pings.tick() => {
                    let _: Value = timeout(CONNECT, self.sink.ping()).await.context("Redis is silent")??;
                }
            }
        }
    }
}
