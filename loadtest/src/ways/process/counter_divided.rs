//! An atomic counter in each process, the stock divided among them. A process refuses when its own share is sold, also if another
//! process has units left.

use super::counter::Counter;
use crate::ways::way::{Answer, Kit, Sold, Way};

/// The counters with this process's share.
pub(super) struct CounterDivided(Counter);

impl Way for CounterDivided {
    type Client = ();

    async fn open(kit: &Kit) -> anyhow::Result<CounterDivided> {
        let Kit { stock, process, processes, .. } = kit;
        let rest = i64::from(process < &(stock.units % processes));
        Ok(CounterDivided(Counter::with(stock.units / processes + rest, kit)))
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.0.set_up().await
    }

    async fn connect(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn take(&self, client: &mut (), item: i64, buyer: i64) -> anyhow::Result<Answer> {
        Way::take(&self.0, client, item, buyer).await
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        Way::sold(&self.0).await
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        Ok(0)
    }
}
