//! Redis has lost a sale, or what is left of it cannot be trusted. SQL knows which units are taken: from it Redis is made anew.
//!
//! In this order: admission off, so that nothing new comes in; settle, so that what Redis still has gets into SQL; drain, so that
//! what only the queue has does; count; a new epoch, with which admission is on again. The row of the sale is locked from the count
//! to the epoch, and workers count on that row, in the epoch of the order they have: an order of an older epoch is counted before
//! us, or not at all.
//!
//! Any number may rebuild a sale at the same time: whoever finds under the lock that the epoch has changed has been overtaken.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use redis::{AsyncCommands, RedisResult, pipe};
use sqlx::{Postgres, Transaction};
use tokio::time::{sleep, timeout};

use super::{A_MOMENT, Upkeep, close};
use crate::{
    gate::deny,
    order_id::{MOST_EPOCHS, OrderId},
    redis_store::RedisStore,
    relay::{AFTERWARDS_MS, Outbox},
    sql::in_time,
    transport::Link,
};

/// How long the queue, which other sales use as well, may take to be empty, and RabbitMQ to be there at all. What is only there
/// after a Redis that has lost its memory is found by no one else, so it is waited for; but no longer, because nobody sells
/// meanwhile. What comes later finds a new epoch, and fails.
const DRAIN: Duration = Duration::from_secs(10);
/// Between two looks; longer while RabbitMQ is away.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const CONNECT_EVERY: Duration = Duration::from_millis(500);
/// Looks in a row that find nothing in the queue: what a worker has in its hands is not in it.
const LOOKS: u32 = 6;
/// Reservations in one command.
const BATCH: usize = 1000;

/// Why a sale is rebuilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Redis does not know it, or was started again: if that is still so.
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
        let row = "select epoch, closes_at from sales where id = $1";
        let row = in_time(sqlx::query_as(row).bind(sale_id).fetch_optional(&self.sql));
        let (epoch, closes_at): (i64, i64) = row.await?.with_context(|| format!("there is no sale {sale_id}"))?;
        if why == Why::Lost && epoch > 0 && self.redis.epochs(&[sale_id]).await? == [epoch] {
            return Ok(None);
        }
        let (known, number) = known(&self.redis, sale_id).await?;
        close(&self.redis, sale_id, known).await?;
        if known > epoch && number > 0 {
            tracing::error!(
                "sale {sale_id}: Redis has sold in epoch {known}, SQL is in {epoch}: PostgreSQL has lost its last commits"
            );
        }
        self.settle(&Outbox::new(&self.redis, sale_id, closes_at), sale_id).await?;
        self.drain(sale_id).await;

        let mut tx = self.sql.begin().await?;
        let current = sqlx::query_scalar("select epoch from sales where id = $1 for no key update").bind(sale_id);
        let current: i64 = in_time(current.fetch_one(&mut *tx)).await?;
        if current != epoch {
            return match why {
                Why::Lost => Ok(None),
                Why::Asked => Ok(Some(self.as_it_is(sale_id, current).await?)),
            };
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

    /// What somebody else has rebuilt, who was faster.
    async fn as_it_is(&self, sale_id: i64, epoch: i64) -> anyhow::Result<Rebuilt> {
        let (keys, mut read) = (self.redis.keys(sale_id), pipe());
        read.hget(&keys.sale, "stock").hlen(&keys.held);
        let (left, held) = read.query_async(&mut self.redis.shared.clone()).await?;
        Ok(Rebuilt { sale_id, epoch, left, held })
    }

    /// Waits until workers have taken what is in the queue, but not for ever.
    async fn drain(&self, sale_id: i64) {
        let (began, mut nothing, mut link) = (Instant::now(), 0, None);
        while nothing < LOOKS {
            if link.is_none() {
                link = self.link().await;
            }
            let in_queue = match &link {
                Some(link) => self.in_queue(link).await.ok(),
                None => None,
            };
            nothing = if in_queue == Some(0) { nothing + 1 } else { 0 };
            if began.elapsed() > DRAIN {
                let why =
                    in_queue.map_or("RabbitMQ away".into(), |messages| format!("{messages} messages in the queue"));
                tracing::warn!("sale {sale_id}: rebuilding with {why}");
                metrics::counter!("rebuilds_undrained_total").increment(1);
                return;
            }
            if in_queue.is_none() {
                link = None;
            }
            sleep(if in_queue.is_some() { LOOK_EVERY } else { CONNECT_EVERY }).await;
        }
    }

    /// Messages that no worker has in its hands, of all sales.
    pub(super) async fn in_queue(&self, link: &Link) -> anyhow::Result<u32> {
        let counting =
            async { Ok(link.waiting(&self.transport.orders).await? + link.waiting(&self.transport.dead).await?) };
        timeout(A_MOMENT, counting).await?
    }
}

/// The epoch that Redis has written down for a sale, whether it is open or closed, and how many numbers it has given in it.
pub(super) async fn known(redis: &RedisStore, sale_id: i64) -> RedisResult<(i64, i64)> {
    let fields = ["epoch", "number"];
    let [epoch, number]: [Option<i64>; 2] = redis.shared.clone().hmget(redis.keys(sale_id).sale, &fields).await?;
    Ok((epoch.unwrap_or_default(), number.unwrap_or_default()))
}

/// Counts in SQL, writes into Redis what it should know of the sale, and gives it its next epoch. To be committed by the caller;
/// until then Redis has an epoch that nobody asks for.
pub(super) async fn write(
    tx: &mut Transaction<'_, Postgres>,
    redis: &RedisStore,
    sale_id: i64,
) -> anyhow::Result<Rebuilt> {
    // Asked first: if Redis comes to have other data while we write, it is not ready.
    let replid = redis.replid().await?;
    let row = "select epoch, stock, sold, opens_at, closes_at from sales where id = $1 for no key update";
    let row = sqlx::query_as(row).bind(sale_id).fetch_one(&mut **tx);
    let (epoch, stock, sold, opens_at, closes_at): (i64, i64, i64, i64, i64) = in_time(row).await?;
    // Beyond every number that was ever given, also if one of the two has gone back to older data.
    let last = "select max(id) from orders where id between $1 and $2";
    let last = sqlx::query_scalar(last).bind(OrderId::base(sale_id, 0)).bind(OrderId::base(sale_id + 1, 0));
    let last: Option<OrderId> = in_time(last.fetch_one(&mut **tx)).await?;
    let epoch = epoch.max(known(redis, sale_id).await?.0).max(last.map_or(0, OrderId::epoch)) + 1;
    ensure!(
        epoch <= MOST_EPOCHS,
        "sale {sale_id} was rebuilt {MOST_EPOCHS} times, and order ids have no room for more"
    );

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
    on.hset_multiple(&keys.sale, &numbers).ignore().hset(&keys.sale, "replid", &replid).ignore();
    on.pexpire_at(&keys.sale, closes_at + AFTERWARDS_MS).ignore();
    let _: () = on.query_async(&mut connection).await?;

    let update = sqlx::query("update sales set epoch = $2 where id = $1").bind(sale_id).bind(epoch);
    in_time(update.execute(&mut **tx)).await?;
    Ok(Rebuilt { sale_id, epoch, left, held })
}
