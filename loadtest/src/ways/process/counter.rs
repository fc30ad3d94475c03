//! An atomic counter in each process, each with the whole stock: N processes sell the stock N times.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::ways::way::{Answer, Kit, Sold, Way};

/// The units left of each item.
pub(super) struct Counter {
    pub(super) left: Vec<AtomicI64>,
    pub(super) units: i64,
}

impl Counter {
    /// A counter for each item, with this share of the units.
    pub(super) fn with(units: i64, kit: &Kit) -> Counter {
        Counter { left: (0..kit.stock.items).map(|_| units.into()).collect(), units }
    }
}

impl Way for Counter {
    type Client = ();

    async fn open(kit: &Kit) -> anyhow::Result<Counter> {
        Ok(Counter::with(kit.stock.units, kit))
    }

    async fn set_up(&self) -> anyhow::Result<()> {
        self.left.iter().for_each(|left| left.store(self.units, Relaxed));
        Ok(())
    }

    async fn connect(&self) -> anyhow::Result<()> {
        Ok(())
    }

    async fn take(&self, _: &mut (), item: i64, _: i64) -> anyhow::Result<Answer> {
        let left = &self.left[item as usize - 1];
        let taken = left.fetch_update(Relaxed, Relaxed, |left| (left > 0).then(|| left - 1));
        Ok(if taken.is_ok() { Answer::Taken } else { Answer::SoldOut })
    }

    async fn sold(&self) -> anyhow::Result<Sold> {
        let units = (1..).zip(&self.left).map(|(item, left)| (item, self.units - left.load(Relaxed)));
        Ok(Sold { units: units.collect(), orders: None })
    }

    async fn calls(&self) -> anyhow::Result<u64> {
        Ok(0)
    }
}
