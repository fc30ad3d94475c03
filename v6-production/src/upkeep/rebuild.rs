//! Redis has lost a sale, or what is left of it cannot be trusted. SQL knows which units are taken: from it Redis is rebuilt.
//!
//! In this order: close the sale, so that nothing new comes in; settle, so that what Redis still has gets into SQL; drain, so that
//! what only the queue has does; a new epoch and a picture of the sale, in one transaction; and the picture into Redis, with which
//! the sale is open again. Whoever does it holds the sale's lease, and each of its writes carries the lease's number.

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

/// How long an operator who asks for a rebuild waits while another one is under way.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a sale is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Redis does not know it, or was started again: if that is still so. Whoever says so has drained the queue since.
    Lost,
    /// Somebody says so.
    Asked,
}

/// A sale as Redis has it again.
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
    /// Makes a sale in Redis anew; `None` if there was no need to.
    ///
    /// # Errors
    /// A server is away, or there is no such sale. Then nothing is sold until it is done again.
    pub(crate) async fn rebuild(&self, sale_id: i64, why: Why) -> anyhow::Result<Option<Rebuilt>> {
        self.row(sale_id).await?; // there is one
        let patience = if why == Why::Asked { PATIENCE } else { Duration::ZERO };
        let lease = alone(&self.sql, sale_id, patience).await?;
        let lease = lease.with_context(|| format!("sale {sale_id} is being rebuilt by another"))?;
        let rebuilt = lease.while_held(self.rebuild_alone(&lease, sale_id, why)).await;
        lease.release().await;
        rebuilt
    }

    async fn rebuild_alone(&self, lease: &Lease, sale_id: i64, why: Why) -> anyhow::Result<Option<Rebuilt>> {
        let (epoch, closes_at) = self.row(sale_id).await?;
        if why == Why::Lost && epoch > 0 && self.redis.epochs(&[sale_id]).await? == [epoch] {
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
            let _: RedisResult<i64> = self.redis.shared.clone().publish(self.redis.channel("stock"), news).await;
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

/// The epoch that Redis has written down for a sale, whether it is open or closed, and how many numbers it has given in it.
pub(super) async fn known(redis: &RedisStore, sale_id: i64) -> RedisResult<(i64, i64)> {
    let fields = ["epoch", "number"];
    let [epoch, number]: [Option<i64>; 2] = redis.shared.clone().hmget(redis.keys(sale_id).sale, &fields).await?;
    Ok((epoch.unwrap_or_default(), number.unwrap_or_default()))
}

/// Gives the sale its next epoch, and writes into Redis what it should know of it. Whoever is stopped in between leaves a closed
/// sale, that the next one rebuilds.
pub(super) async fn write(sql: &PgPool, redis: &RedisStore, lease: &Lease, sale_id: i64) -> anyhow::Result<Rebuilt> {
    // Asked first: if Redis comes to have other data while we write, it is not ready.
    let replid = redis.replid().await?;
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
