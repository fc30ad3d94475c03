//! The way to Redis: names of keys, connections, and what its errors mean.

use std::time::Duration;

use anyhow::{Context, ensure};
use redis::{
    AsyncConnectionConfig, Client,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub},
};
use url::Url;

use crate::order_id::MOST_NUMBERS;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

/// Redis, as one shop sees it.
#[derive(Clone)]
pub(crate) struct RedisStore {
    /// Shared by all requests: many questions under way on one connection, which comes back by itself.
    pub(crate) shared: ConnectionManager,
    client: Client,
    namespace: String,
}

/// The keys of one sale. The braces put all of them into the same slot of a Redis Cluster.
pub(crate) struct SaleKeys {
    /// A hash: `epoch`, `replid` (the replication id of the data that it was made ready with; without one it is closed), `stock`
    /// (units left), `number` (of the last order), `opens_at`, `closes_at`.
    pub(crate) sale: String,
    /// A hash: for each buyer with a unit, the order's id, the path and the request that made it. In binary: 32 bytes.
    pub(crate) held: String,
    /// A stream: reservations on their way to the queue.
    pub(crate) outbox: String,
    /// A hash: for each buyer, the attempts of late.
    pub(crate) tries: String,
    /// A set: buyers and paths of units that were given back of late, and of puzzles that got a wrong answer.
    pub(crate) spent: String,
    /// A set: buyers who get nothing.
    pub(crate) denied: String,
}

impl RedisStore {
    /// Connects; `timeout` is for an answer.
    pub(crate) async fn connect(url: &Url, namespace: &str, timeout: Duration) -> anyhow::Result<RedisStore> {
        let client = Client::open(url.as_str()).context("REDIS_URL")?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(3)
            .set_max_delay(Duration::from_millis(500));
        let mut shared = client.get_connection_manager_with_config(config).await?;
        // A Redis that is still reading its file answers, with an error.
        let _: String = redis::cmd("PING").query_async(&mut shared).await?;
        Ok(RedisStore { shared, client, namespace: namespace.into() })
    }

    /// A connection of one's own, for commands that wait for something to come.
    pub(crate) async fn own_connection(&self, timeout: Duration) -> anyhow::Result<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(timeout));
        Ok(self.client.get_multiplexed_async_connection_with_config(&config).await?)
    }

    /// A connection for listening.
    pub(crate) async fn listen(&self, channels: &[String]) -> anyhow::Result<PubSub> {
        let mut listener = tokio::time::timeout(CONNECT, self.client.get_async_pubsub()).await??;
        tokio::time::timeout(CONNECT, listener.subscribe(channels)).await??;
        Ok(listener)
    }

    pub(crate) fn keys(&self, sale_id: i64) -> SaleKeys {
        let key = |what| format!("{}:{{sale:{sale_id}}}:{what}", self.namespace);
        let (sale, held, outbox) = (key("sale"), key("held"), key("outbox"));
        SaleKeys { sale, held, outbox, tries: key("tries"), spent: key("spent"), denied: key("denied") }
    }

    /// The replication id of Redis's data: another one than before, and the last writes may be missing.
    ///
    /// # Errors
    /// Redis is away, or it is a replica: what is written to one is lost.
    pub(crate) async fn replid(&self) -> anyhow::Result<String> {
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut self.shared.clone()).await?;
        ensure!(info.contains("role:master"), "Redis is a replica");
        let mut lines = info.lines().filter_map(|line| line.strip_prefix("master_replid:"));
        lines.next().map(str::to_owned).context("Redis does not say which data it has")
    }

    /// The epochs in which these sales can be sold from; 0 for one that is not there, is closed, or was made ready with other
    /// data.
    pub(crate) async fn epochs(&self, sales: &[i64]) -> anyhow::Result<Vec<i64>> {
        let replid = self.replid().await?;
        let mut read = redis::pipe();
        for &sale in sales {
            read.hmget(self.keys(sale).sale, &["epoch", "replid", "number"]);
        }
        let found: Vec<(Option<i64>, Option<String>, Option<i64>)> = read.query_async(&mut self.shared.clone()).await?;
        let epoch = |(epoch, made_for, number): (Option<i64>, Option<String>, Option<i64>)| match number {
            Some(..MOST_NUMBERS) if made_for.as_ref() == Some(&replid) => epoch.unwrap_or_default(),
            _ => 0,
        };
        Ok(found.into_iter().map(epoch).collect())
    }

    /// The channel on which instances tell each other: `stock` (sold out, restocked), `orders` (settled).
    pub(crate) fn channel(&self, about: &str) -> String {
        format!("{}:{about}", self.namespace)
    }

    /// Warns of a Redis that forgets: without its append-only file a restart loses every reservation, and with eviction
    /// it drops keys when it is full.
    pub(crate) async fn check_durability(&self) {
        for (setting, safe) in [("appendonly", "yes"), ("maxmemory-policy", "noeviction")] {
            let mut connection = self.shared.clone();
            let asked = redis::cmd("CONFIG").arg("GET").arg(setting).query_async(&mut connection).await;
            let Ok((_, value)): redis::RedisResult<(String, String)> = asked else { continue }; // not everybody may ask
            if value != safe {
                tracing::warn!("Redis runs with {setting} {value}: set it to {safe}, or units can be lost");
            }
        }
    }
}

/// Numbers of 8 bytes each, as the scripts write them; nothing if it is more or less.
pub(crate) fn numbers<const N: usize>(bytes: &[u8]) -> Option<[i64; N]> {
    let (numbers, []) = bytes.as_chunks::<8>() else { return None };
    Some(<[[u8; 8]; N]>::try_from(numbers).ok()?.map(i64::from_be_bytes))
}

/// What an answer meant for one attempt says when there was none: it may have been carried out all the same.
pub(crate) fn is_unanswered(error: &redis::RedisError) -> bool {
    use redis::{ErrorKind, ServerErrorKind};
    match error.kind() {
        // It is starting, or a replica: it has done nothing, and will do it later.
        ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain | ServerErrorKind::MasterDown) => {
            true
        }
        ErrorKind::Server(_) => false,
        _ => true,
    }
}
