use redis::RedisResult;

use super::{RedisStore, SharedConnection};

const SCRIPT: &str = include_str!("replicas.lua");

impl RedisStore {
    /// Waits until as many replicas as configured have what `shard` has reserved in this epoch of a sale; at most half of the time
    /// that a command may take. Returns false if too few have it, or if the data were replaced meanwhile: a failover may then lose
    /// the reservation.
    ///
    /// It uses the second connection, because `WAIT` holds up the commands behind it. Script and `WAIT` are sent together: after a
    /// reconnection between the two, `WAIT` would wait for nothing.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(crate) async fn is_replicated(&self, shard: &SharedConnection, sale_id: i64, epoch: i64) -> RedisResult<bool> {
        if self.replicas == 0 {
            return Ok(true);
        }
        let mut both = redis::pipe();
        both.cmd("EVAL").arg(SCRIPT).arg(1).arg(self.keys(sale_id).sale).arg(epoch);
        both.cmd("WAIT").arg(self.replicas).arg((self.timeout / 2).as_millis() as u64);
        let (is_same, have_it): (bool, u32) = both.query_async(&mut shard.second()?).await?;
        Ok(is_same && have_it >= self.replicas)
    }
}
