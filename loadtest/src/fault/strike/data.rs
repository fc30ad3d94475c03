//! Data of Redis that are removed, or are going to be cut.

use std::time::Duration;

use tokio::time::sleep;

use super::target::Target;

impl Target<'_> {
    /// Removes all that Redis has.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        Ok(redis::cmd("FLUSHALL").exec_async(&mut self.redis).await?)
    }

    /// Has Redis write all it knows into the base of its log, so that the file of changes is empty.
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
