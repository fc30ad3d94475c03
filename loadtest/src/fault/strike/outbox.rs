//! Outbox entries that are acknowledged but not processed.

use std::time::Duration;

use redis::{Script, Value};
use tokio::time::Instant;

use super::target::{Target, within};

/// The consumer group of the relays, and a consumer that does not exist.
const GROUP: &str = "relay";
const NOBODY: &str = "torn";
/// The command with which relays read.
const READ: &[u8] = b"XREADGROUP";
/// How long it may take until all relays are held, or until the next buyers have reserved.
const NEXT: Duration = Duration::from_secs(5);

impl Target<'_> {
    /// Holds the next read of every relay in its proxy. Then lets in the next buyers, whose reservations no relay reads.
    pub(super) async fn hold_reads(&mut self) {
        for links in self.links {
            links.redis.hold_request(READ);
        }
        within(NEXT, || self.links.iter().all(|links| links.redis.holds(READ))).await;
        self.let_next_in();
    }

    pub(super) fn let_reads_pass(&self) {
        self.links.iter().for_each(|links| links.redis.restore());
    }

    /// Reads entries and acknowledges them, like a relay that dies before it deletes them.
    pub(super) async fn tear(&mut self) -> anyhow::Result<()> {
        let (outbox, tear) = (self.stores.key(self.sale, "outbox"), Script::new(include_str!("tear.lua")));
        let began = Instant::now();
        while self.torn.is_empty() && began.elapsed() < NEXT {
            self.torn = tear.key(&outbox).arg(GROUP).arg(NOBODY).invoke_async(&mut self.redis).await?;
        }
        self.seen = format!("{} entries", self.torn.len());
        Ok(())
    }

    /// Whether such entries are still in the outbox, and no relay has them pending.
    pub(super) async fn is_torn(&mut self) -> anyhow::Result<bool> {
        let outbox = self.stores.key(self.sale, "outbox");
        let mut redis = self.stores.connect().await?;
        for id in &self.torn {
            let mut look = redis::pipe();
            look.atomic().cmd("XRANGE").arg(&outbox).arg(id).arg(id);
            look.cmd("XPENDING").arg(&outbox).arg(GROUP).arg(id).arg(id).arg(1);
            let (there, pending): (Vec<Value>, Vec<Value>) = look.query_async(&mut redis).await?;
            if there.is_empty() || !pending.is_empty() {
                return Ok(false);
            }
        }
        Ok(!self.torn.is_empty())
    }
}
