//! Copies a sale's window and stock to Redis after an operator has changed them in SQL. The sale stays open; a rebuild would close
//! it.

use std::sync::LazyLock;

use redis::{RedisResult, Script};

use super::{Upkeep, alone};
use crate::{
    catalogue::SaleRow,
    redis_store::{InRedis, KEPT_MS},
};

static SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("fence.lua"), include_str!("terms.lua"))));

impl SaleRow {
    /// Whether Redis has this window and stock. A sale that an older version has rebuilt has no stock to compare.
    pub(super) fn is_as_in(&self, redis: &InRedis) -> bool {
        redis.window == [Some(self.opens_at), Some(self.closes_at)]
            && redis.units.is_none_or(|units| units == self.stock)
    }
}

impl Upkeep {
    /// Copies a sale's window and stock to Redis, unless another instance has the sale's lease.
    ///
    /// # Errors
    /// A server does not answer. The next check tries again.
    pub(super) async fn tell_terms(&self, sale: &SaleRow) -> anyhow::Result<()> {
        let Some(lease) = alone(&self.sql, sale.id, super::A_MOMENT).await? else { return Ok(()) };
        let keys = self.redis.keys(sale.id);
        let mut call = SCRIPT.key(keys.fence);
        call.key(keys.sale).key(keys.held).key(keys.spent).key(keys.ended).key(keys.denied);
        call.arg(lease.number()?).arg(sale.epoch).arg(sale.opens_at).arg(sale.closes_at).arg(sale.stock);
        call.arg(sale.closes_at + KEPT_MS);
        let told: RedisResult<Option<i64>> = call.invoke_async(&mut self.redis.of(sale.id)).await;
        lease.release().await;
        let Some(left) = told? else { return Ok(()) }; // it is being rebuilt from the same row
        tracing::warn!(sale.id, sale.opens_at, sale.closes_at, sale.stock, left, "window or stock have changed");
        if left > 0 {
            let news = format!("restocked {}", sale.id);
            let _ = self.redis.publish(&self.redis.channel("stock"), news).await;
        }
        Ok(())
    }
}
