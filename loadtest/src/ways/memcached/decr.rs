//! `decr`, which is atomic and stops at 0. The counter starts at one more than the stock, so that 0 means sold out: with the stock
//! itself, the buyer of the last unit and all later ones would get the same answer.

use anyhow::Context;

use super::store::{Connection, Store};
use crate::ways::way::{Answer, Kit, Sold, Way};

pub(super) struct Decr(Store);

impl Way for Decr {
    type Client = Connection;

    async fn open(kit: &Kit) -> anyhow::Result<Decr> {
        Ok(Decr(Store::open(kit)?))
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.0.set(self.0.stock.units + 1).await
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        self.0.connect().await
    }

    async fn take(&self, connection: &mut Connection, item: i64, _: i64) -> anyhow::Result<Answer> {
        let answer = connection.ask(&format!("decr item:{item} 1")).await?;
        let left: i64 = answer.parse().with_context(|| format!("memcached: {answer}"))?; // `NOT_FOUND` after a restart
        Ok(if left > 0 { Answer::Taken } else { Answer::SoldOut })
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        let units = self.0.stock.units;
        let left = |value: i64| (value - 1).max(0);
        let sold = self.0.values().await?.into_iter().map(|(item, value)| (item, units - left(value)));
        Ok(Sold { units: sold.collect(), orders: None })
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        self.0.calls().await
    }
}
