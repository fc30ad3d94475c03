//! Redis: the names of keys, and the connections.
//!
//! All keys of a sale have one slot, so in a cluster one primary has them, and `of` returns its connection.

/// Whether a failed command was executed.
mod failure;
/// The names of keys and channels.
mod keys;
/// A connection that only listens.
mod listener;
/// The state of sales in Redis.
mod made;
/// Waits until replicas have a reservation.
mod replicas;
/// The primaries of one server or of a cluster.
mod shards;
/// The connection to a server that all requests share.
mod shared;
/// Which slots keys and primaries have.
mod slots;

use std::time::Duration;

use redis::{AsyncCommands, RedisResult, aio::ConnectionManagerConfig};
use tokio::sync::watch;
use url::Url;

pub(crate) use self::{
    failure::{Failure, failure},
    keys::{SaleKeys, numbers},
    made::InRedis,
    shared::SharedConnection,
};
use self::{keys::tag, shards::Shards};
use crate::config::Config;

/// How long Redis keeps a sale after it has closed, for late requests: two days, in milliseconds.
pub(crate) const KEPT_MS: i64 = 2 * 86_400_000;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a sale counts as missed after a request for it.
const MISSED: Duration = Duration::from_secs(10);

/// How long the key of a write that only tries Redis is kept.
pub(crate) const ALIVE: Duration = Duration::from_secs(60);

/// Redis, with the keys of one shop.
#[derive(Clone)]
pub(crate) struct RedisStore {
    shards: Shards,
    is_cluster: bool,
    namespace: String,
    /// The replicas that must have a reservation before its buyer is told.
    replicas: u32,
    /// The longest wait for the answer to a command.
    timeout: Duration,
}

impl RedisStore {
    /// Connects to the server or to the cluster at these URLs.
    ///
    /// # Errors
    /// Redis does not answer, or is still loading its file.
    pub(crate) async fn connect(urls: &[Url], config: &Config) -> anyhow::Result<RedisStore> {
        let timeout = config.redis_timeout;
        let manager = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(1) // callers pause and retry by themselves
            .set_max_delay(Duration::from_millis(500));
        let shards = Shards::open(urls, manager).await?;
        let (is_cluster, namespace, replicas) = (urls.len() > 1, config.namespace.clone(), config.redis_replicas);
        let redis = RedisStore { shards, is_cluster, namespace, replicas, timeout };
        for mut shard in redis.shards() {
            let _: String = redis::cmd("PING").query_async(&mut shard).await?;
        }
        Ok(redis)
    }

    /// The connection to the primary of a sale, which all requests share. It reconnects by itself, and after a failover or a move
    /// of the sale's slot the next call returns the new primary.
    pub(crate) fn of(&self, sale_id: i64) -> SharedConnection {
        self.shards.of(&tag(sale_id))
    }

    /// The connection to the primary that has this key.
    pub(crate) fn with(&self, key: &str) -> SharedConnection {
        self.shards.of(key)
    }

    /// The connections to all primaries, in the order of their slots.
    pub(crate) fn shards(&self) -> Vec<SharedConnection> {
        self.shards.all()
    }

    /// Whether it is a cluster, in which one command has keys of one slot only.
    pub(crate) fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    /// Which of the [`shards`](RedisStore::shards) has a sale.
    pub(crate) fn shard_number(&self, sale_id: i64) -> usize {
        let of = self.of(sale_id);
        self.shards().iter().position(|shard| *shard == of).unwrap_or_default()
    }

    /// The sales of each primary.
    pub(crate) fn by_shard(&self, sales: impl IntoIterator<Item = i64>) -> Vec<(SharedConnection, Vec<i64>)> {
        let mut groups: Vec<(SharedConnection, Vec<i64>)> = Vec::new();
        for sale_id in sales {
            let of = self.of(sale_id);
            match groups.iter_mut().find(|(shard, _)| *shard == of) {
                Some((_, group)) => group.push(sale_id),
                None => groups.push((of, vec![sale_id])),
            }
        }
        groups
    }

    /// Receives a value whenever a connection was replaced or another primary has a sale.
    pub(crate) fn changed(&self) -> watch::Receiver<u64> {
        self.shards.changed()
    }

    /// To be called after an error of a connection that is not shared: another primary may have its keys now.
    pub(crate) fn doubt(&self) {
        self.shards.doubt();
    }

    /// Publishes to a channel.
    pub(crate) async fn publish(&self, channel: &str, news: String) -> RedisResult<i64> {
        self.with(channel).publish(channel, news).await
    }

    /// Checks that Redis answers and accepts writes. In a cluster it asks one primary.
    pub(crate) async fn try_write(&self) -> RedisResult<()> {
        let key = format!("{}:alive", self.namespace);
        self.with(&key).set_ex(&key, 1, ALIVE.as_secs()).await
    }

    /// Notes that buyers ask for this closed sale, so that it is rebuilt first.
    pub(crate) async fn miss(&self, sale_id: i64) {
        let mut note = redis::pipe();
        note.sadd(self.missed(), sale_id).expire(self.missed(), MISSED.as_secs() as i64);
        let noted: RedisResult<()> = note.query_async(&mut self.with(&self.missed())).await;
        if let Err(error) = noted {
            tracing::debug!("sale {sale_id} is missed: {error}");
        }
    }

    /// Logs a warning if Redis can lose data: without its append-only file a restart loses all reservations, and with eviction a
    /// full Redis deletes keys.
    pub(crate) async fn check_durability(&self) {
        for mut shard in self.shards() {
            for (setting, safe) in [("appendonly", "yes"), ("maxmemory-policy", "noeviction")] {
                let asked = redis::cmd("CONFIG").arg("GET").arg(setting).query_async(&mut shard).await;
                let Ok((_, value)): RedisResult<(String, String)> = asked else { continue }; // not allowed to ask
                if value != safe {
                    tracing::warn!("Redis runs with {setting} {value}: set it to {safe}, or units can be lost");
                }
            }
        }
    }
}
