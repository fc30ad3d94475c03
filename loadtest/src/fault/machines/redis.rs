//! Faults of the Redis master that holds the sale.

use std::time::Duration;

use tokio::time::sleep;

use super::Target;

/// How far the replica is behind.
const BEHIND: Duration = Duration::from_millis(500);

impl Target<'_> {
    pub(super) async fn choose_redis_master(&mut self) -> anyhow::Result<()> {
        let key = self.stores.key(self.sale, "sale");
        let (machine, part) = self.work(move |machines| machines.redis_master_of(&key)).await?;
        self.choose(machine);
        self.part = part;
        Ok(())
    }

    /// Separates the master from its replica, and lets buyers buy for half a second.
    pub(super) async fn leave_replica_behind(&mut self) -> anyhow::Result<()> {
        let key = self.stores.key(self.sale, "sale");
        self.work(move |machines| machines.separate_replica(&key)).await?;
        sleep(BEHIND).await;
        self.seen = format!("machine {}, its replica {} ms behind", self.chosen, BEHIND.as_millis());
        Ok(())
    }

    /// Moves the sale's slot to the master of another machine, with its keys.
    pub(super) async fn move_slot(&mut self) -> anyhow::Result<()> {
        let key = self.stores.key(self.sale, "sale");
        let (slot, to) = self.work(move |machines| machines.move_slot(&key)).await?;
        self.seen = format!("slot {slot} from machine {} to machine {to}", self.chosen);
        Ok(())
    }
}
