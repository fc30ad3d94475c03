//! Redis has lost a sale, or what is left of it cannot be trusted. SQL knows which units are taken: from it Redis is made anew.
//!
//! In this order: admission off, so that nothing new comes in; drain, so that what was promised gets into SQL; count; a new
//! epoch, with which admission is on again. The row of the sale is locked from the count to the epoch, and workers count on
//! that row, in the epoch of the order they have: an order of an older epoch is counted before us, or not at all.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use redis::{AsyncCommands, RedisResult, pipe};
use sqlx::{Postgres, Transaction};
use tokio::time::sleep;

use super::{Upkeep, alone};
use crate::{
    gate::deny,
    order_id::{MOST_EPOCHS, OrderId},
    redis_store::RedisStore,
    relay::AFTERWARDS_MS,
    sql::in_time,
};

/// How long the queue, which other sales use as well, may take to be empty. What comes later finds a new epoch, and fails.
const DRAIN: Duration = Duration::from_secs(10);
/// How long an outbox may take: nobody but its relay can empty it, and nobody sells meanwhile.
const GIVE_UP: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Looks in a row that find nothing on its way: between outbox and queue there is a moment in which it is in neither.
const LOOKS: u32 = 6;
/// Reservations in one command.
const BATCH: usize = 1000;

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
        let mut tx = self.sql.begin().await?;
        ensure!(in_time(alone(&mut tx, sale_id)).await?, "sale {sale_id} is being rebuilt or reconciled by another");
        let epoch =
            in_time(sqlx::query_scalar("select epoch from sales where id = $1").bind(sale_id).fetch_optional(&mut *tx));
        let epoch: i64 = epoch.await?.with_context(|| format!("there is no sale {sale_id}"))?;
        if why == Why::Lost && epoch > 0 && self.redis.epochs(&[sale_id]).await? == [epoch] {
            return Ok(None);
        }
        if epoch > 0 {
            let sale = self.redis.keys(sale_id).sale;
            let mut off = pipe();
            off.atomic().hmget(&sale, &["epoch", "number"]).hset(&sale, "epoch", 0).ignore();
            let [known]: [(Option<i64>, Option<i64>); 1] = off.query_async(&mut self.redis.shared.clone()).await?;
            let reserved = known.1.filter(|_| known.0 == Some(epoch)).unwrap_or_default();
            self.drain(&mut tx, OrderId::base(sale_id, epoch), reserved).await?;
        }
        let rebuilt = write(&mut tx, &self.redis, sale_id).await?;
        in_time(tx.commit()).await?;
        metrics::counter!("rebuilds_total").increment(1);
        if rebuilt.left > 0 {
            let news = format!("restocked {sale_id}");
            let _: RedisResult<i64> = self.redis.shared.clone().publish(self.redis.channel("stock"), news).await;
        }
        Ok(Some(rebuilt))
    }

    /// Waits until all reservations that are still somewhere have become orders: those after `base`, as many as Redis knows of.
    async fn drain(&self, tx: &mut Transaction<'_, Postgres>, base: OrderId, reserved: i64) -> anyhow::Result<()> {
        let sale_id = base.sale_id();
        let outbox = self.redis.keys(sale_id).outbox;
        let link = self.transport.connect().await?;
        let (began, mut nothing) = (Instant::now(), 0);
        while nothing < LOOKS {
            let in_outbox: u64 = self.redis.shared.clone().xlen(&outbox).await?;
            let in_queue = link.waiting(&self.transport.orders).await? + link.waiting(&self.transport.dead).await?;
            // What a worker has in its hands is in neither. If Redis has not forgotten how many there were, SQL knows when it is done.
            let arrived = "select count(*) from orders where id > $1 and id <= $1 + $2";
            let arrived = sqlx::query_scalar(arrived).bind(base).bind(reserved).fetch_one(&mut **tx);
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

/// Counts in SQL, writes into Redis what it should know of the sale, and gives it its next epoch. To be committed by the caller;
/// until then Redis has an epoch that nobody asks for.
pub(super) async fn write(
    tx: &mut Transaction<'_, Postgres>,
    redis: &RedisStore,
    sale_id: i64,
) -> anyhow::Result<Rebuilt> {
    // Asked first: if Redis is started again while we write, it is another one than we have written for.
    let server = redis.server().await?;
    let row = "select epoch, stock, sold, opens_at, closes_at from sales where id = $1 for no key update";
    let row = sqlx::query_as(row).bind(sale_id).fetch_one(&mut **tx);
    let (epoch, stock, sold, opens_at, closes_at): (i64, i64, i64, i64, i64) = in_time(row).await?;
    ensure!(epoch < MOST_EPOCHS, "sale {sale_id} was rebuilt {MOST_EPOCHS} times, and order ids have no room for more");
    let epoch = epoch + 1;

    let active =
        "select id, buyer_id, path, request from orders where sale_id = $1 and status in ('confirmed', 'paid')";
    let active: Vec<(OrderId, i64, i64, i64)> =
        in_time(sqlx::query_as(active).bind(sale_id).fetch_all(&mut **tx)).await?;
    let held = active.len() as i64;
    if held != sold {
        tracing::error!("sale {sale_id}: {held} orders hold a unit, and {sold} are counted as sold");
    }
    // Nothing is to be given back to a Redis that does not have it. Paths of units that were, are spent all the same; none lives
    // for more than an hour.
    let over = "update orders set given_back = true
                where sale_id = $1 and status in ('expired', 'failed') and not given_back";
    in_time(sqlx::query(over).bind(sale_id).execute(&mut **tx)).await?;
    let spent = "select buyer_id, path from orders where sale_id = $1 and status in ('expired', 'failed')
                 and path >> 12 > now_ms() - 3600000";
    let spent: Vec<(i64, i64)> = in_time(sqlx::query_as(spent).bind(sale_id).fetch_all(&mut **tx)).await?;

    let (keys, mut connection) = (redis.keys(sale_id), redis.shared.clone());
    let _: () = connection.del(&[&keys.sale, &keys.held, &keys.spent]).await?;
    for orders in active.chunks(BATCH) {
        let one = |&(OrderId(id), buyer, path, request): &(OrderId, i64, i64, i64)| {
            (buyer.to_be_bytes(), [id, path, request].map(i64::to_be_bytes).concat())
        };
        let held: Vec<([u8; 8], Vec<u8>)> = orders.iter().map(one).collect();
        let held: Vec<(&[u8], &[u8])> = held.iter().map(|(buyer, held)| (&buyer[..], &held[..])).collect();
        let _: () = connection.hset_multiple(&keys.held, &held).await?;
    }
    for spent in spent.chunks(BATCH) {
        let spent: Vec<Vec<u8>> =
            spent.iter().map(|&(buyer, path)| [buyer, path].map(i64::to_be_bytes).concat()).collect();
        let _: () = connection.sadd(&keys.spent, &spent).await?;
    }
    deny::tell(redis, sale_id, &deny::list(tx).await?).await?;
    let left = stock - held;
    let mut on = pipe();
    on.atomic();
    for key in [&keys.held, &keys.spent, &keys.denied, &keys.sale] {
        on.pexpire_at(key, closes_at + AFTERWARDS_MS).ignore();
    }
    let numbers = [("epoch", epoch), ("stock", left), ("number", 0), ("opens_at", opens_at), ("closes_at", closes_at)];
    on.hset_multiple(&keys.sale, &numbers).ignore().hset(&keys.sale, "server", &server).ignore();
    on.pexpire_at(&keys.sale, closes_at + AFTERWARDS_MS).ignore();
    let _: () = on.query_async(&mut connection).await?;

    let update = sqlx::query("update sales set epoch = $2 where id = $1").bind(sale_id).bind(epoch);
    in_time(update.execute(&mut **tx)).await?;
    Ok(Rebuilt { sale_id, epoch, left, held })
}
