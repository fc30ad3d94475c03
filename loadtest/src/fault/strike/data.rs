//! Deletes data of Redis, or prepares its log for a cut.

use std::time::Duration;

use tokio::time::sleep;

use super::target::Target;

impl Target<'_> {
    /// Deletes all data of Redis (FLUSHALL).
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        Ok(redis::cmd("FLUSHALL").exec_async(&mut self.redis).await?)
    }

    /// Rewrites the log of Redis, so that its file of changes is empty.
    pub(super) async fn rewrite_log(&mut self) -> anyhow::Result<()> {
        redis::cmd("BGREWRITEAOF").exec_async(&mut self.redis).await?;
        loop {
            let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut self.redis).await?;
            if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
                return Ok(());
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}
