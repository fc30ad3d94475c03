//! `gets` and `cas`: memcached stores the new number of units only if nobody has stored one since it was read. Under contention one
//! buyer gets through, and the others ask again.

use anyhow::{Context, bail};

use super::store::{Connection, Store};
use crate::ways::way::{Answer, Gap, Kit, Sold, Way};

pub(super) struct Cas {
    store: Store,
    gap: Gap,
}

impl Way for Cas {
    type Client = Connection;

    async fn open(kit: &Kit) -> anyhow::Result<Cas> {
        Ok(Cas { store: Store::open(kit)?, gap: kit.gap.clone() })
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.store.set(self.store.stock.units).await
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        self.store.connect().await
    }

    async fn take(&self, connection: &mut Connection, item: i64, _: i64) -> anyhow::Result<Answer> {
        let (left, version) = connection.gets(item).await?.context("memcached has forgotten the stock")?;
        if left == 0 {
            return Ok(Answer::SoldOut);
        }
        self.gap.pass().await;
        let left = (left - 1).to_string();
        let answer = connection.ask(&format!("cas item:{item} 0 0 {} {version}\r\n{left}", left.len())).await?;
        match answer.as_str() {
            "STORED" => Ok(Answer::Taken),
            "EXISTS" => Ok(Answer::Again), // another buyer has stored a number
            _ => bail!("memcached: {answer}"),
        }
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        let units = self.store.stock.units;
        let sold = self.store.values().await?.into_iter().map(|(item, left)| (item, units - left));
        Ok(Sold { units: sold.collect(), orders: None })
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.store.calls().await
    }
}
