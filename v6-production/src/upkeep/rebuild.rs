//! Rebuilds a sale from SQL, when Redis has lost it or its data there cannot be trusted.
//!
//! 1. Close the sale, so that nothing new is reserved.
//! 2. Settle: write to SQL what Redis still has.
//! 3. Drain: wait until the workers have placed what only the queue has.
//! 4. Begin a new epoch and take a snapshot of the sale, in one transaction.
//! 5. Write the snapshot to Redis, which opens the sale again.
//!
//! The process holds the sale's lease meanwhile, and each of its writes carries the fencing token.

use std::{fmt, time::Duration};

use anyhow::Context;
use redis::{AsyncCommands, RedisResult};
use sqlx::PgPool;

use super::{Upkeep, alone, fenced_writer::FencedWriter, picture::Picture};
use crate::{
    lease::Lease,
    redis_store::{KEPT_MS, RedisStore},
    relay::outbox::Outbox,
    sql::in_time,
};

/// How long an operator's command waits for another rebuild of the sale.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a sale is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Redis has lost the sale. This is checked again, and the caller has drained the queue already.
    Lost,
    /// An operator asks for it, or a comparison has found Redis wrong.
    Asked,
}

/// A rebuilt sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    sale_id: i64,
    epoch: i64,
    left: i64,
    held: i64,
}

impl fmt::Display for Rebuilt {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Rebuilt { sale_id, epoch, left, held } = self;
        write!(f, "sale {sale_id}: epoch {epoch}, {left} units left, {held} held")
    }
}

impl Upkeep {
    /// Rebuilds a sale in Redis; `None` if it was not lost.
    ///
    /// # Errors
    /// A server does not answer, or there is no such sale. The sale may then be closed until the rebuild is repeated.
    pub(crate) async fn rebuild(&self, sale_id: i64, why: Why) -> anyhow::Result<Option<Rebuilt>> {
        self.row(sale_id).await?; // fails if there is no such sale
        let patience = if why == Why::Asked { PATIENCE } else { Duration::ZERO };
        let lease = alone(&self.sql, sale_id, patience).await?;
        let lease = lease.with_context(|| format!("sale {sale_id} is being rebuilt by another"))?;
        let rebuilt = lease.while_held(self.rebuild_alone(&lease, sale_id, why)).await;
        lease.release().await;
        rebuilt
    }

    async fn rebuild_alone(&self, lease: &Lease, sale_id: i64, why: Why) -> anyhow::Result<Option<Rebuilt>> {
        let (epoch, closes_at) = self.row(sale_id).await?;
        if why == Why::Lost && epoch > 0 && self.redis.epoch(sale_id).await? == epoch {
            return Ok(None);
        }
        let (known, number) = FencedWriter::new(&self.redis, lease, sale_id)?.close().await?;
        if let (Some(known), Some(1..)) = (known, number)
            && known > epoch
        {
            tracing::error!(
                "sale {sale_id}: Redis has sold in epoch {known}, SQL is in {epoch}: PostgreSQL has lost its last commits"
            );
        }
        self.settle(&Outbox::new(&self.redis, sale_id, closes_at), sale_id).await?;
        if why == Why::Asked {
            self.drain().await;
        }
        let rebuilt = write(&self.sql, &self.redis, lease, sale_id).await?;
        metrics::counter!("rebuilds_total").increment(1);
        if rebuilt.left > 0 {
            let news = format!("restocked {sale_id}");
            let _ = self.redis.publish(&self.redis.channel("stock"), news).await;
        }
        Ok(Some(rebuilt))
    }

    /// The sale's epoch, and when it closes.
    async fn row(&self, sale_id: i64) -> anyhow::Result<(i64, i64)> {
        let row = "select epoch, closes_at from sales where id = $1";
        let row = in_time(sqlx::query_as(row).bind(sale_id).fetch_optional(&self.sql));
        row.await?.with_context(|| format!("there is no sale {sale_id}"))
    }
}

/// The epoch of a sale in Redis, whether it is open or closed, and the number of its last order. Both are 0 if Redis has no such
/// sale.
pub(super) async fn known(redis: &RedisStore, sale_id: i64) -> RedisResult<(i64, i64)> {
    let fields = ["epoch", "number"];
    let [epoch, number]: [Option<i64>; 2] = redis.of(sale_id).hmget(redis.keys(sale_id).sale, &fields).await?;
    Ok((epoch.unwrap_or_default(), number.unwrap_or_default()))
}

/// Begins the next epoch of a sale, and writes its snapshot to Redis. If the process is stopped in between, the sale stays closed,
/// and the next leader rebuilds it.
pub(super) async fn write(sql: &PgPool, redis: &RedisStore, lease: &Lease, sale_id: i64) -> anyhow::Result<Rebuilt> {
    // Read first: if the data of Redis change while we write, the id does not match, and the sale stays closed.
    let replid = RedisStore::replid(redis.of(sale_id)).await?;
    let (past, _) = known(redis, sale_id).await?;
    let Picture { epoch, stock, opens_at, closes_at, active, spent, ended, denied } =
        Picture::take(sql, lease, sale_id, past).await?;
    let held = active.len() as i64;
    let left = stock - held;

    let writer = FencedWriter::new(redis, lease, sale_id)?;
    writer.held(&active).await?;
    writer.spent(&spent).await?;
    writer.ended(&ended).await?;
    writer.denied(&denied.buyers).await?;
    let numbers = [
        ("epoch", epoch),
        ("stock", left),
        ("units", stock),
        ("number", 0),
        ("denials", denied.denials),
        ("opens_at", opens_at),
        ("closes_at", closes_at),
    ];
    writer.sale(&numbers).await?;
    writer.sale(&[("replid", replid.as_str())]).await?;
    writer.replace(closes_at + KEPT_MS).await?;
    Ok(Rebuilt { sale_id, epoch, left, held })
}
