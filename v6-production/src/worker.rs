//! The path of an order, 3 of 5: reserve → relay → **worker** → notify → release.
//! In: messages, each a list of reservations. Out: rows in SQL, many in one transaction: commit, then acknowledge, then notify.
//! When it breaks: before the commit nothing has happened. After it, the message is delivered again and finds its orders in SQL.

/// The transaction that turns reservations into orders.
pub(crate) mod place;

use std::{sync::LazyLock, time::Duration};

use anyhow::bail;
use futures_util::StreamExt;
use lapin::{
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use redis::{RedisResult, Script};
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::place::{Placed, place};
use crate::{
    notify::notices::Notices,
    order_id::OrderId,
    redis_store::RedisStore,
    sql::is_fault_of_data,
    supervise::{self, Backoff},
    transport::{
        Link, Reservation, Transport, in_time,
        message::{Content, Message, read},
    },
};

/// The most messages that RabbitMQ delivers without an acknowledgement.
const PREFETCH: u16 = 16;
/// The most messages in one transaction.
const MESSAGES: usize = 8;
/// How often messages that were set aside are checked.
const LATER_EVERY: Duration = Duration::from_secs(10);
/// The most such messages in one check.
const LATER_AT_ONCE: u32 = 1000;

static SUSPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("worker/suspend.lua")));

/// Turns reservations into orders.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) sql: PgPool,
    pub(crate) transport: Transport,
    pub(crate) notices: Notices,
    pub(crate) pay_within: Duration,
    pub(crate) stop: CancellationToken,
}

impl Worker {
    /// Places messages until the stop signal, and then finishes the current batch.
    pub(crate) async fn run(self) {
        let this = &self;
        supervise::keep("worker", &self.stop, || async move {
            let link = this.transport.connect().await?;
            let mut batches = consume(&link, &this.transport.orders).await?.ready_chunks(MESSAGES);
            while let Some(Some(batch)) = this.stop.run_until_cancelled(batches.next()).await {
                this.work(batch.into_iter().collect::<lapin::Result<_>>()?).await?;
            }
            if !this.stop.is_cancelled() {
                bail!("RabbitMQ hung up");
            }
            Ok(())
        })
        .await;
    }

    /// Retries dead letters, one reservation at a time, so that a bad reservation does not affect the others.
    pub(crate) async fn run_dead_letters(self) {
        let this = &self;
        supervise::keep("dead letters", &self.stop, || async move {
            let link = this.transport.connect().await?;
            let mut letters = consume(&link, &this.transport.dead).await?;
            while let Some(Some(letter)) = this.stop.run_until_cancelled(letters.next()).await {
                let letter = letter?;
                let bad = match read(&letter.properties, &letter.data) {
                    Ok(Content::Reservations(reservations)) => match this.place_singly(&reservations).await? {
                        bad if bad.is_empty() => None,
                        bad => Some(Message::reservations(&bad)?),
                    },
                    Ok(Content::Mark(name)) => {
                        this.notices.marks(&[name]).await;
                        None
                    }
                    Ok(Content::Later(kind)) => {
                        this.set_aside(&letter, &kind).await?;
                        continue;
                    }
                    Err(_) => Some(Message::from(&letter)),
                };
                // What cannot be read or placed must not be lost.
                if let Some(bad) = bad {
                    let (parked, body) = (&this.transport.parked, bad.body.escape_ascii());
                    tracing::error!("dead letters are parked in {parked}: {body}");
                    metrics::counter!("parked_total").increment(1);
                    link.publish(parked, &bad).await?;
                }
                in_time(letter.ack(BasicAckOptions::default())).await?;
            }
            if !this.stop.is_cancelled() {
                bail!("RabbitMQ hung up");
            }
            Ok(())
        })
        .await;
    }

    /// Checks for messages that older workers have set aside, until the stop signal.
    pub(crate) async fn run_later(self) {
        let this = &self;
        supervise::keep("later messages", &self.stop, || async move {
            let link = this.transport.connect().await?;
            while !this.stop.is_cancelled() {
                this.take_up_again(&link).await?;
                let _ = this.stop.run_until_cancelled(sleep(LATER_EVERY)).await;
            }
            Ok(())
        })
        .await;
    }

    /// Puts messages that were set aside back into the queue, if this worker can read them.
    async fn take_up_again(&self, link: &Link) -> anyhow::Result<()> {
        let later = &self.transport.later;
        let mut stays = Vec::new();
        for _ in 0..link.waiting(later).await?.min(LATER_AT_ONCE) {
            let getting = link.channel.basic_get(later.as_str().into(), BasicGetOptions::default());
            let Some(message) = in_time(getting).await? else { break };
            if matches!(read(&message.properties, &message.data), Ok(Content::Later(_))) {
                stays.push(message.delivery);
                continue;
            }
            link.publish(&self.transport.orders, &Message::from(&message.delivery)).await?;
            in_time(message.ack(BasicAckOptions::default())).await?;
        }
        for message in stays {
            in_time(message.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() })).await?;
        }
        Ok(())
    }

    /// Places a batch: commit, then acknowledge, then notify. A batch that cannot be placed as a whole goes to the dead letters as
    /// a whole.
    async fn work(&self, batch: Vec<Delivery>) -> anyhow::Result<()> {
        let (mut reservations, mut marks, mut read_all) = (Vec::new(), Vec::new(), Ok(()));
        let mut these = Vec::with_capacity(batch.len());
        for delivery in batch {
            match read(&delivery.properties, &delivery.data) {
                Ok(Content::Reservations(some)) => reservations.extend(some),
                Ok(Content::Mark(name)) => marks.push(name),
                Ok(Content::Later(kind)) => {
                    self.set_aside(&delivery, &kind).await?;
                    continue;
                }
                Err(error) => read_all = Err(error),
            }
            these.push(delivery);
        }
        let placed = match read_all {
            Ok(()) => self.place(&reservations).await,
            Err(error) => Err(error),
        };
        match placed {
            Ok(placed) => {
                for delivery in &these {
                    in_time(delivery.ack(BasicAckOptions::default())).await?;
                }
                self.notices.orders(&placed).await;
            }
            Err(_) if self.stop.is_cancelled() => return Ok(()), // the messages are delivered again
            Err(error) => {
                tracing::warn!("a batch goes to the dead letters: {error:#}");
                metrics::counter!("dead_lettered_total").increment(these.len() as u64);
                for delivery in &these {
                    let never = BasicNackOptions { requeue: false, ..BasicNackOptions::default() };
                    in_time(delivery.nack(never)).await?;
                }
            }
        }
        self.notices.marks(&marks).await;
        Ok(())
    }

    /// Sets a message in a later format aside: during a deployment, workers of two versions share the queue. It uses a new
    /// connection, because a publishing connection is blocked while RabbitMQ accepts no messages.
    async fn set_aside(&self, delivery: &Delivery, kind: &str) -> anyhow::Result<()> {
        tracing::warn!("a message of kind {kind} waits in {} for a newer version", self.transport.later);
        metrics::counter!("set_aside_total").increment(1);
        let link = self.transport.connect().await?;
        link.publish(&self.transport.later, &Message::from(delivery)).await?;
        in_time(delivery.ack(BasicAckOptions::default())).await?;
        Ok(())
    }

    /// Places reservations one by one, and returns those that cannot be placed.
    async fn place_singly(&self, reservations: &[Reservation]) -> anyhow::Result<Vec<Reservation>> {
        let mut bad = Vec::new();
        for &reservation in reservations {
            match self.place(&[reservation]).await {
                Ok(placed) => self.notices.orders(&placed).await,
                Err(error) if self.stop.is_cancelled() => return Err(error), // the message is delivered again
                Err(error) => {
                    tracing::error!("{reservation:?}: {error:#}");
                    bad.push(reservation);
                }
            }
        }
        Ok(bad)
    }

    /// Places reservations in one transaction. After an error that is not caused by their data, it tries again here: a message that
    /// is returned to the queue would be delivered again at once.
    async fn place(&self, reservations: &[Reservation]) -> anyhow::Result<Vec<OrderId>> {
        let mut backoff = Backoff::default();
        loop {
            match place(&self.sql, reservations, self.pay_within).await {
                Ok(placed) => {
                    self.suspend_collided(&placed).await;
                    return Ok(placed.orders());
                }
                Err(error) if !is_fault_of_data(&error) && !self.stop.is_cancelled() => {
                    metrics::counter!("place_repeated_total").increment(1);
                    if backoff.is_long() {
                        tracing::warn!("orders wait for PostgreSQL: {error}");
                    }
                    let _ = self.stop.run_until_cancelled(backoff.pause()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Worker {
    /// Closes sales in which two orders have the same id, because Redis has gone back to older data. They are closed until they are
    /// rebuilt. If Redis does not answer now, the next comparison finds the same.
    async fn suspend_collided(&self, placed: &Placed) {
        for one in &placed.collided {
            let (sale_id, epoch) = (one.order_id.sale_id(), one.order_id.epoch());
            if let Err(error) = suspend(&self.notices.0, sale_id, epoch).await {
                tracing::warn!("sale {sale_id} is not closed: {error}");
            }
        }
    }
}

/// Consumes a queue. The wait has a time limit, because a queue that has just recovered may have no leader, and then RabbitMQ does
/// not answer.
async fn consume(link: &Link, queue: &str) -> anyhow::Result<lapin::Consumer> {
    let consuming = async {
        link.channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default(); // with manual acknowledgements
        link.channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
    };
    in_time(consuming).await
}

/// Closes a sale in Redis until it is rebuilt, if it is still in this epoch. It needs no lease.
async fn suspend(redis: &RedisStore, sale_id: i64, epoch: i64) -> RedisResult<()> {
    SUSPEND.key(redis.keys(sale_id).sale).arg(epoch).invoke_async(&mut redis.of(sale_id)).await
}
