//! Connections to the nodes of Redis and RabbitMQ.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::future::try_join_all;
use lapin::{Connection, ConnectionProperties};
use redis::{AsyncCommands, AsyncConnectionConfig, aio::MultiplexedConnection};
use tokio::time::timeout;
use url::Url;

use super::Stores;

/// How long a server may take to accept a connection or to answer.
const FOR_A_NODE: Duration = Duration::from_secs(10);
/// How long one node of a Redis Cluster may take to accept a connection, before the next one is asked.
const BEFORE_THE_NEXT: Duration = Duration::from_secs(2);
/// The most nodes of a cluster that are asked for one sale.
const MOST_HOPS: usize = 32;

impl Stores {
    /// The nodes of Redis: one server, or those of a cluster.
    pub(super) fn redis_nodes(&self) -> impl Iterator<Item = &Url> {
        [&self.redis].into_iter().chain(&self.redis_peers)
    }

    /// Opens a connection to Redis; of a cluster, to its first node.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        connect(&self.redis).await
    }

    /// The server, or all primaries of the cluster, as the first node that answers tells. After a failover they are not those that
    /// were named.
    pub(super) async fn primaries(&self) -> anyhow::Result<Vec<Url>> {
        if self.redis_peers.is_empty() {
            return Ok(vec![self.redis.clone()]);
        }
        for node in self.redis_nodes() {
            let Ok(Ok(mut redis)) = timeout(BEFORE_THE_NEXT, connect(node)).await else { continue };
            let told: redis::RedisResult<String> = redis::cmd("CLUSTER").arg("NODES").query_async(&mut redis).await;
            if let Ok(told) = told {
                return Ok(told.lines().filter_map(|line| other_node(&self.redis, primary_in(line)?)).collect());
            }
        }
        bail!("no node of the Redis Cluster answers")
    }

    /// Opens a connection to each Redis: to one server, or to all nodes of a cluster.
    pub(in crate::lab) async fn connect_to_each(&self) -> anyhow::Result<Vec<MultiplexedConnection>> {
        try_join_all(self.redis_nodes().map(connect)).await
    }

    /// Opens a connection to the Redis that has a sale. Of a cluster, that is the node that answers for the sale's keys. Another node
    /// says which one it is.
    ///
    /// # Errors
    /// No node answers for the sale.
    pub async fn connect_to(&self, sale: i64) -> anyhow::Result<MultiplexedConnection> {
        if self.redis_peers.is_empty() {
            return self.connect().await;
        }
        let key = self.key(sale, "sale");
        let mut nodes: Vec<Url> = self.redis_nodes().cloned().collect();
        for _ in 0..MOST_HOPS {
            let Some(node) = nodes.pop() else { break };
            let Ok(Ok(mut redis)) = timeout(BEFORE_THE_NEXT, connect(&node)).await else { continue };
            match redis.exists::<_, bool>(&key).await {
                Ok(_) => return Ok(redis),
                Err(error) => nodes.extend(error.redirect_node().and_then(|(at, _)| other_node(&self.redis, at))),
            }
        }
        bail!("no node of the Redis Cluster has sale {sale}")
    }

    /// The nodes of RabbitMQ: one server, or those of a cluster.
    pub(super) fn amqp_nodes(&self) -> impl Iterator<Item = &Url> {
        [&self.amqp].into_iter().chain(&self.amqp_peers)
    }

    /// Opens a connection to RabbitMQ; of a cluster, to the first node that answers.
    ///
    /// # Errors
    /// RabbitMQ does not answer.
    pub async fn queues(&self) -> anyhow::Result<Connection> {
        let mut connected = Err(anyhow!("RabbitMQ has no node"));
        for node in self.amqp_nodes() {
            let connecting = Connection::connect(node.as_str(), ConnectionProperties::default());
            connected = match timeout(FOR_A_NODE, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(why)) => Err(why).context("RabbitMQ"),
                Err(_) => Err(anyhow!("RabbitMQ does not answer within {} s", FOR_A_NODE.as_secs())),
            };
        }
        connected
    }
}

/// Opens a connection to this Redis. The driver's default of half a second for an answer is too short for a busy machine.
///
/// # Errors
/// Redis does not answer.
pub async fn connect(url: &Url) -> anyhow::Result<MultiplexedConnection> {
    let patience =
        AsyncConnectionConfig::new().set_connection_timeout(Some(FOR_A_NODE)).set_response_timeout(Some(FOR_A_NODE));
    let client = redis::Client::open(url.as_str())?;
    client.get_multiplexed_async_connection_with_config(&patience).await.context("Redis")
}

/// The `host:port` of a node in a line of `CLUSTER NODES`, if it is a primary with slots: id, address, flags, primary, two times, epoch,
/// link, and the slots.
fn primary_in(line: &str) -> Option<&str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, address, flags, _, _, _, _, _, _, ..] = fields.as_slice() else { return None };
    let is_primary = flags.split(',').any(|flag| flag == "master") && !flags.split(',').any(|flag| flag == "fail");
    address.split('@').next().filter(|_| is_primary)
}

/// The URL of another node of a cluster, at `host:port`.
fn other_node(node: &Url, at: &str) -> Option<Url> {
    let (host, port) = at.rsplit_once(':')?;
    let mut url = node.clone();
    url.set_host(Some(host)).ok()?;
    url.set_port(Some(port.parse().ok()?)).ok()?;
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_with_slots_has_keys() {
        let has = |flags, slots| {
            let line = format!("07c3 10.0.0.2:7002@17002,shard-b {flags} - 0 5 2 connected{slots}");
            primary_in(&line).map(str::to_owned)
        };
        assert_eq!(has("myself,master", " 5461-5999 6001").as_deref(), Some("10.0.0.2:7002"));
        assert_eq!([has("slave", ""), has("master", ""), has("master,fail", " 0-5460")], [None, None, None]);
    }
}
