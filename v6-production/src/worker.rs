//! The path of an order, 3 of 5: reserve → relay → **worker** → notify → release.
//! In: messages, each a list of reservations. Out: rows in SQL, many in one transaction: commit, then acknowledge, then notify.
//! When it breaks: before the commit nothing has happened, after it the message comes again and finds its orders there.

/// From reservations to rows.
mod place;

use std::time::Duration;

use anyhow::bail;
use futures_util::StreamExt;
use lapin::{
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

pub(crate) use self::place::{Placed, place};
use crate::{
    notify::Notices,
    order_id::OrderId,
    sql::is_fault_of_data,
    supervise::{self, Backoff},
    transport::{Link, Reservation, Transport, in_time, read, write},
    upkeep,
};

/// Messages that RabbitMQ hands over before the first is acknowledged, and messages in one transaction.
const PREFETCH: u16 = 16;
const MESSAGES: usize = 8;

/// What turns reservations into orders.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) sql: PgPool,
    pub(crate) transport: Transport,
    pub(crate) notices: Notices,
    pub(crate) pay_within: Duration,
    pub(crate) stop: CancellationToken,
}

impl Worker {
    /// Works, until told to stop. What it has begun by then, it finishes.
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

    /// Tries dead letters again, one reservation after the other: the good ones become orders, a bad one takes no other along.
    pub(crate) async fn run_dead_letters(self) {
        let this = &self;
        supervise::keep("dead letters", &self.stop, || async move {
            let link = this.transport.connect().await?;
            let mut letters = consume(&link, &this.transport.dead).await?;
            while let Some(Some(letter)) = this.stop.run_until_cancelled(letters.next()).await {
                let letter = letter?;
                let bad = match read(&letter.data) {
                    Ok(reservations) => write(&this.place_singly(&reservations).await?)?,
                    Err(_) => letter.data.clone(),
                };
                // What nobody can make anything of, nobody is to lose.
                if bad != b"[]" {
                    tracing::error!("dead letters are parked in {}: {}", this.transport.parked, bad.escape_ascii());
                    metrics::counter!("parked_total").increment(1);
                    link.publish(&this.transport.parked, &bad).await?;
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

    /// Commit, then acknowledge, then notify. What cannot be placed as a whole goes to the dead letters as a whole.
    async fn work(&self, batch: Vec<Delivery>) -> anyhow::Result<()> {
        let read: anyhow::Result<Vec<_>> = batch.iter().map(|delivery| read(&delivery.data)).collect();
        let placed = match read {
            Ok(reservations) => self.place(&reservations.concat()).await,
            Err(error) => Err(error),
        };
        match placed {
            Ok(placed) => {
                for delivery in &batch {
                    in_time(delivery.ack(BasicAckOptions::default())).await?;
                }
                self.notices.orders(&placed).await;
                Ok(())
            }
            Err(_) if self.stop.is_cancelled() => Ok(()), // they come again
            Err(error) => {
                tracing::warn!("a batch goes to the dead letters: {error:#}");
                metrics::counter!("dead_lettered_total").increment(batch.len() as u64);
                for delivery in &batch {
                    let never = BasicNackOptions { requeue: false, ..BasicNackOptions::default() };
                    in_time(delivery.nack(never)).await?;
                }
                Ok(())
            }
        }
    }

    /// Places them one by one, and returns those that cannot be placed.
    async fn place_singly(&self, reservations: &[Reservation]) -> anyhow::Result<Vec<Reservation>> {
        let mut bad = Vec::new();
        for &reservation in reservations {
            match self.place(&[reservation]).await {
                Ok(placed) => self.notices.orders(&placed).await,
                Err(error) if self.stop.is_cancelled() => return Err(error), // they come again
                Err(error) => {
                    tracing::error!("{reservation:?}: {error:#}");
                    bad.push(reservation);
                }
            }
        }
        Ok(bad)
    }

    /// Places them in one transaction. Only what is the message's own fault takes it out of the queue; with everything else,
    /// it waits here: sent back, it would only come again at once.
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
    /// A Redis that gives a number twice has older data than it had. It sells nothing more before it is rebuilt. If it does not answer
    /// now, reconciling finds the same.
    async fn suspend_collided(&self, placed: &Placed) {
        for one in &placed.collided {
            let (sale_id, epoch) = (one.order_id.sale_id(), one.order_id.epoch());
            if let Err(error) = upkeep::suspend(&self.notices.0, sale_id, epoch).await {
                tracing::warn!("sale {sale_id} is not closed: {error}");
            }
        }
    }
}

/// A queue that has just come back may have no leader yet, and then nobody answers: so this is not waited for for ever.
async fn consume(link: &Link, queue: &str) -> anyhow::Result<lapin::Consumer> {
    let consuming = async {
        link.channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default(); // acknowledged by hand
        link.channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
    };
    in_time(consuming).await
}
