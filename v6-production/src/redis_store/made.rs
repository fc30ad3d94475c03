use std::collections::HashMap;

use anyhow::{Context, ensure};
use futures_util::future::join_all;

use super::{RedisStore, SharedConnection};
use crate::order_id::MOST_NUMBERS;

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

impl RedisStore {
    /// The replication id of a primary's data. If it differs from the one before, the last writes may be missing.
    ///
    /// # Errors
    /// The server does not answer, or it is a replica, whose writes would be lost.
    pub(crate) async fn replid(mut shard: SharedConnection) -> anyhow::Result<String> {
        let info: String = redis::cmd("INFO").arg("replication").query_async(&mut shard).await?;
        ensure!(info.contains("role:master"), "Redis is a replica");
        let mut lines = info.lines().filter_map(|line| line.strip_prefix("master_replid:"));
        lines.next().map(str::to_owned).context("Redis does not say which data it has")
    }

    /// The epoch of a sale; 0 if it is missing, closed, or was rebuilt with other data.
    ///
    /// # Errors
    /// The primary of the sale does not answer.
    pub(crate) async fn epoch(&self, sale_id: i64) -> anyhow::Result<i64> {
        Ok(self.made(&[sale_id]).await?.get(&sale_id).map_or(0, |sale| sale.epoch))
    }

    /// The state of these sales. The sales of a primary that does not answer are missing.
    ///
    /// # Errors
    /// No primary answers.
    pub(crate) async fn made(&self, sales: &[i64]) -> anyhow::Result<HashMap<i64, InRedis>> {
        let groups = self.by_shard(sales.iter().copied());
        let each = groups.into_iter().map(|(shard, sales)| self.made_at(shard, sales));
        let (mut made, mut failed) = (HashMap::new(), None);
        for answer in join_all(each).await {
            match answer {
                Ok(some) => made.extend(some),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if made.is_empty() => Err(error),
            _ => Ok(made),
        }
    }

    async fn made_at(&self, mut shard: SharedConnection, sales: Vec<i64>) -> anyhow::Result<HashMap<i64, InRedis>> {
        let replid = RedisStore::replid(shard.clone()).await?;
        let mut read = redis::pipe();
        for &sale in &sales {
            read.hmget(self.keys(sale).sale, &["epoch", "number", "opens_at", "closes_at", "units", "stock"]);
            read.hget(self.keys(sale).sale, "replid");
        }
        let found: Vec<redis::Value> = read.query_async(&mut shard).await?;
        let made = |sale: &[redis::Value]| {
            let [epoch, number, opens_at, closes_at, units, left]: [Option<i64>; 6] =
                redis::from_redis_value_ref(&sale[0])?;
            let made_for: Option<String> = redis::from_redis_value_ref(&sale[1])?;
            let can_sell = made_for.as_ref() == Some(&replid) && number.is_some_and(|number| number < MOST_NUMBERS);
            let epoch = if can_sell { epoch.unwrap_or_default() } else { 0 };
            anyhow::Ok(InRedis { epoch, window: [opens_at, closes_at], units, left })
        };
        sales.into_iter().zip(found.chunks_exact(2)).map(|(sale_id, sale)| Ok((sale_id, made(sale)?))).collect()
    }
}
