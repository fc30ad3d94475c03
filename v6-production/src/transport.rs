//! The queue between relay and worker: its names, what a message says, and how RabbitMQ is to treat it.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use url::Url;

use crate::order_id::OrderId;

/// How long RabbitMQ may take to connect, to declare, or to confirm.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A message that was given to workers so often and never acknowledged goes to the dead letters.
const DELIVERY_LIMIT: i64 = 5;

/// A unit that a buyer holds, on its way to become an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The id that the order will have; it says which sale.
    pub order_id: OrderId,
    /// Whose.
    pub buyer_id: i64,
    /// When, in milliseconds since 1970 by Redis's clock.
    pub reserved_at: i64,
    /// The address it was bought at.
    pub path: i64,
    /// The request that made it: the same one again is answered with this order.
    pub request: i64,
}

/// RabbitMQ, as one shop sees it.
#[derive(Clone)]
pub(crate) struct Transport {
    url: String,
    /// Reservations for the workers.
    pub(crate) orders: String,
    /// Messages that a worker could not turn into orders as a whole.
    pub(crate) dead: String,
    /// Messages that nobody could read: for a person to look at.
    pub(crate) parked: String,
}

/// A connection with the queues declared, and a channel on it.
pub(crate) struct Link {
    pub(crate) channel: Channel,
    /// Kept: with it the channel ends.
    _connection: Connection,
}

impl Transport {
    pub(crate) fn new(url: &Url, namespace: &str) -> Transport {
        let [orders, dead, parked] = ["orders", "dead", "parked"].map(|queue| format!("{namespace}.{queue}"));
        Transport { url: url.as_str().into(), orders, dead, parked }
    }

    /// Connects and declares what is not there. The queues are quorum queues: on disk, and on a majority of the brokers.
    pub(crate) async fn connect(&self) -> anyhow::Result<Link> {
        let connecting = async {
            let properties = ConnectionProperties::default().with_connection_name("oversold".into());
            let connection = Connection::connect(&self.url, properties).await?;
            let channel = connection.create_channel().await?;
            let quorum = ("x-queue-type", AMQPValue::LongString("quorum".into()));
            let dead_letters = [
                ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
                ("x-dead-letter-exchange", AMQPValue::LongString("".into())),
                ("x-dead-letter-routing-key", AMQPValue::LongString(self.dead.as_str().into())),
                // A dead letter leaves its queue when the other one has it, and not before.
                ("x-dead-letter-strategy", AMQPValue::LongString("at-least-once".into())),
                ("x-overflow", AMQPValue::LongString("reject-publish".into())),
            ];
            declare(&channel, &self.parked, [quorum.clone()]).await?;
            declare(&channel, &self.dead, [quorum.clone()]).await?;
            declare(&channel, &self.orders, dead_letters.into_iter().chain([quorum])).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            lapin::Result::Ok(Link { channel, _connection: connection })
        };
        timeout(PATIENCE, connecting).await.context("no answer from RabbitMQ")?.context("RabbitMQ")
    }
}

async fn declare(
    channel: &Channel,
    queue: &str,
    arguments: impl IntoIterator<Item = (&'static str, AMQPValue)>,
) -> lapin::Result<()> {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        table.insert(key.into(), value);
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, table).await.map(drop)
}

impl Link {
    /// Messages in a queue that no worker has in its hands.
    pub(crate) async fn waiting(&self, queue: &str) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asking = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        Ok(timeout(PATIENCE, asking).await.context("no answer from RabbitMQ")??.message_count())
    }

    /// Publishes to a queue and waits until RabbitMQ has it on disk.
    ///
    /// # Errors
    /// It does not, or there is no such queue: an unroutable message is confirmed as well, and only `mandatory` has it
    /// sent back.
    pub(crate) async fn publish(&self, queue: &str, body: &[u8]) -> anyhow::Result<()> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let persistent = BasicProperties::default().with_delivery_mode(2).with_content_type("application/json".into());
        let publishing =
            async { self.channel.basic_publish("".into(), queue.into(), options, body, persistent).await?.await };
        match timeout(PATIENCE, publishing).await.context("RabbitMQ does not confirm")?? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) => {
                metrics::counter!("returned_total").increment(1);
                bail!("{queue}: sent back: {}", returned.reply_text)
            }
            other => bail!("{queue}: not taken: {other:?}"),
        }
    }
}

/// Writes a message: the reservations as JSON.
pub(crate) fn write(reservations: &[Reservation]) -> anyhow::Result<Vec<u8>> {
    Ok(serde_json::to_vec(reservations)?)
}

/// Reads a message.
///
/// # Errors
/// It is no list of reservations.
pub(crate) fn read(body: &[u8]) -> anyhow::Result<Vec<Reservation>> {
    let reservations: Vec<Reservation> = serde_json::from_slice(body).context("no list of reservations")?;
    ensure!(reservations.iter().all(|one| one.order_id.0 > 0 && one.buyer_id > 0), "numbers that are none");
    Ok(reservations)
}
