//! The counters in Redis: the units left of each item.

use anyhow::Context;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, InfoDict, aio::MultiplexedConnection};

use crate::{
    lab::servers::Server,
    ways::way::{Kit, Sold, Stock},
};

/// The private Redis.
pub(super) struct Store {
    client: Client,
    stock: Stock,
}

/// The key of the units left of an item.
pub(super) fn key(item: i64) -> String {
    format!("stock:{item}")
}

/// The key of the buyers of an item.
pub(super) fn buyers_key(item: i64) -> String {
    format!("buyers:{item}")
}

impl Store {
    /// The Redis of this kit.
    pub(super) fn of(kit: &Kit) -> anyhow::Result<Store> {
        Ok(Store { client: Client::open(kit.url(Server::Redis)?.as_str())?, stock: kit.stock })
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        // The default of half a second is too short for 256 clients on two processors. A dead Redis closes its connections.
        let patient = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        Ok(self.client.get_multiplexed_async_connection_with_config(&patient).await?)
    }

    /// Deletes all that Redis holds, and puts the stock on sale.
    pub(super) async fn set_up(&self) -> anyhow::Result<()> {
        let mut redis = self.connect().await?;
        let counters: Vec<_> = self.items().map(|item| (key(item), self.stock.units)).collect();
        redis::cmd("FLUSHDB").query_async::<()>(&mut redis).await?;
        Ok(redis.mset::<_, _, ()>(&counters).await?)
    }

    /// The units that the counters lack. A counter that is missing lacks none: Redis has forgotten what it sold.
    pub(super) async fn sold(&self) -> anyhow::Result<Sold> {
        let keys: Vec<_> = self.items().map(key).collect();
        let left: Vec<Option<i64>> = self.connect().await?.mget(keys).await?;
        let sold = |left: Option<i64>| self.stock.units - left.map_or(self.stock.units, |left| left.max(0));
        Ok(Sold { units: self.items().zip(left.into_iter().map(sold)).collect(), orders: None })
    }

    /// The buyers of each item.
    pub(super) async fn buyers(&self) -> anyhow::Result<Sold> {
        let (mut redis, mut orders) = (self.connect().await?, Vec::new());
        for item in self.items() {
            let buyers: Vec<i64> = redis.smembers(buyers_key(item)).await?;
            orders.extend(buyers.into_iter().map(|buyer| (item, buyer)));
        }
        Ok(Sold::orders(orders))
    }

    /// The requests that Redis has read. A script is one request, whatever it calls, and so is a transaction.
    pub(super) async fn calls(&self) -> anyhow::Result<u64> {
        let info: InfoDict = redis::cmd("INFO").arg("stats").query_async(&mut self.connect().await?).await?;
        info.get("total_reads_processed").context("Redis does not count its reads")
    }

    fn items(&self) -> std::ops::RangeInclusive<i64> {
        1..=self.stock.items
    }
}
