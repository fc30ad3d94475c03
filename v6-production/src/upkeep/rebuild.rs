//! Redis has lost a sale, or what is left of it cannot be trusted. SQL knows which units are taken: from it Redis is made anew.
//!
//! In this order: admission off, so that nothing new comes in; drain, so that what was promised gets into SQL; a new epoch and
//! a picture of the sale, in one transaction; and the picture into Redis, with which admission is on again. Whoever does it
//! holds the sale's lease, and each of its writes carries the lease's number.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use redis::{AsyncCommands, RedisResult};
use sqlx::PgPool;
use tokio::time::sleep;

use super::{Stage, Upkeep, alone, picture::Picture};
use crate::{lease::Lease, order_id::OrderId, redis_store::RedisStore, sql::in_time};

/// How long the queue, which other sales use as well, may take to be empty. What comes later finds a new epoch, and fails.
const DRAIN: Duration = Duration::from_secs(10);
/// How long an outbox may take: nobody but its relay can empty it, and nobody sells meanwhile.
const GIVE_UP: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks in a row that find nothing on its way: between outbox and queue there is a moment in which it is in neither.
const LOOKS: u32 = 6;
/// How long Redis remembers a sale that is over.
const AFTERWARDS_MS: i64 = 2 * 86_400_000;

/// Why a sale is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Redis does not know it, or was started again: if that is still so when nobody else is at it.
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
    /// Makes a sale in Redis anew; nothing if there was no need to.
    ///
    /// # Errors
    /// A server is away, somebody else is at it, or there is no such sale. Then nothing is sold until it is done again.
    pub(crate) async fn rebuild(&self, sale_id: i64, why: Why) -> anyhow::Result<Option<Rebuilt>> {
        self.epoch(sale_id).await?; // there is one
        let lease = alone(&self.sql, sale_id).await?;
        let lease = lease.with_context(|| format!("sale {sale_id} is being rebuilt or reconciled by another"))?;
        let rebuilt = lease.while_held(self.rebuild_alone(&lease, sale_id, why)).await;
        lease.release().await;
        rebuilt
    }

    async fn rebuild_alone(&self, lease: &Lease, sale_id: i64, why: Why) -> anyhow::Result<Option<Rebuilt>> {
        let epoch = self.epoch(sale_id).await?;
        if why == Why::Lost && epoch > 0 && self.redis.epochs(&[sale_id]).await? == [epoch] {
            return Ok(None);
        }
        if epoch > 0 {
            let (known, number) = Stage::new(&self.redis, lease, sale_id)?.close().await?;
            let reserved = number.filter(|_| known == Some(epoch)).unwrap_or_default();
            self.drain(OrderId::base(sale_id, epoch), reserved).await?;
        }
        let rebuilt = write(&self.sql, &self.redis, lease, sale_id).await?;
        metrics::counter!("rebuilds_total").increment(1);
        if rebuilt.left > 0 {
            let news = format!("restocked {sale_id}");
            let _: RedisResult<i64> = self.redis.shared.clone().publish(self.redis.channel("stock"), news).await;
        }
        Ok(Some(rebuilt))
    }

    async fn epoch(&self, sale_id: i64) -> anyhow::Result<i64> {
        let epoch = sqlx::query_scalar("select epoch from sales where id = $1").bind(sale_id).fetch_optional(&self.sql);
        in_time(epoch).await?.with_context(|| format!("there is no sale {sale_id}"))
    }

    /// Waits until all reservations that are still somewhere have become orders: those after `base`, as many as Redis knows of.
    async fn drain(&self, base: OrderId, reserved: i64) -> anyhow::Result<()> {
        let sale_id = base.sale_id();
        let outbox = self.redis.keys(sale_id).outbox;
        let link = self.transport.connect().await?;
        let (began, mut nothing) = (Instant::now(), 0);
        while nothing < LOOKS {
            let in_outbox: u64 = self.redis.shared.clone().xlen(&outbox).await?;
            let in_queue = link.waiting(&self.transport.orders).await? + link.waiting(&self.transport.dead).await?;
            // What a worker has in its hands is in neither. If Redis has not forgotten how many there were, SQL knows when it is done.
            let arrived = "select count(*) from orders where id > $1 and id <= $1 + $2";
            let arrived = sqlx::query_scalar(arrived).bind(base).bind(reserved).fetch_one(&self.sql);
            let arrived: i64 = in_time(arrived).await?;
            let missing = reserved - arrived;
            nothing = if in_outbox == 0 && in_queue == 0 && missing == 0 { nothing + 1 } else { 0 };
            if in_outbox == 0 && began.elapsed() > DRAIN {
                tracing::warn!(
                    "sale {sale_id}: rebuilding with {in_queue} messages in the queue, {missing} orders missing"
                );
                break;
            }
            if began.elapsed() > GIVE_UP {
                bail!("sale {sale_id}: {in_outbox} reservations are in the outbox, and no relay takes them");
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// Gives the sale its next epoch, and writes into Redis what it should know of it. Whoever is stopped in between leaves a sale
/// that is off admission, and that the next one rebuilds.
pub(super) async fn write(sql: &PgPool, redis: &RedisStore, lease: &Lease, sale_id: i64) -> anyhow::Result<Rebuilt> {
    // Asked first: if Redis is started again while we write, it is another one than we have written for.
    let server = redis.server().await?;
    let Picture { epoch, stock, opens_at, closes_at, active, spent, denied } =
        Picture::take(sql, lease, sale_id).await?;
    let held = active.len() as i64;
    let left = stock - held;

    let stage = Stage::new(redis, lease, sale_id)?;
    stage.held(&active).await?;
    stage.spent(&spent).await?;
    stage.denied(&denied).await?;
    let numbers = [("epoch", epoch), ("stock", left), ("number", 0), ("opens_at", opens_at), ("closes_at", closes_at)];
    stage.sale(&numbers).await?;
    stage.sale(&[("server", server.as_str())]).await?;
    stage.replace(closes_at + AFTERWARDS_MS).await?;
    Ok(Rebuilt { sale_id, epoch, left, held })
}
