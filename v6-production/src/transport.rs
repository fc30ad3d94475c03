//! RabbitMQ: the queues between relay and worker, and the connection.

/// The messages.
pub(crate) mod message;

use std::{pin::pin, time::Duration};

use anyhow::{Context, bail, ensure};
use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::time::timeout;
use url::Url;

use self::message::Message;
pub use self::message::Reservation;

/// How long RabbitMQ may take to connect, to declare, or to confirm.
const PATIENCE: Duration = Duration::from_secs(5);
/// Seconds between two heartbeats. After twice this time without one, each side closes the connection, and RabbitMQ gives the
/// messages of a lost host to another worker.
const HEARTBEAT: u16 = 4;
/// How often a message is delivered without being acknowledged, before it goes to the dead letters.
const DELIVERY_LIMIT: i64 = 5;

/// RabbitMQ, with the queues of one shop.
#[derive(Clone)]
pub(crate) struct Transport {
    url: String,
    /// The queue of reservations for the workers.
    pub(crate) orders: String,
    /// The queue of messages that could not be placed as a whole (dead letters).
    pub(crate) dead: String,
    /// The queue of messages that cannot be read or placed, for an operator.
    pub(crate) parked: String,
    /// The queue of messages in a later format, for newer workers.
    pub(crate) later: String,
}

/// A connection with a channel, on which the queues are declared.
pub(crate) struct Link {
    pub(crate) channel: Channel,
    /// Kept, because the channel ends with its connection.
    connection: Connection,
}

impl Transport {
    /// The queues of a shop. Nothing is connected yet.
    pub(crate) fn new(url: &Url, namespace: &str) -> Transport {
        let [orders, dead, parked, later] =
            ["orders", "dead", "parked", "later"].map(|queue| format!("{namespace}.{queue}"));
        let mut url = url.clone();
        if !url.query_pairs().any(|(key, _)| key == "heartbeat") {
            url.query_pairs_mut().append_pair("heartbeat", &HEARTBEAT.to_string());
        }
        Transport { url: url.into(), orders, dead, parked, later }
    }

    /// Connects, and creates the queues that do not exist. They are quorum queues, which are on disk and on a majority of the
    /// brokers.
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
                // A dead letter is removed from its queue only when it is stored in the other one.
                ("x-dead-letter-strategy", AMQPValue::LongString("at-least-once".into())),
                ("x-overflow", AMQPValue::LongString("reject-publish".into())),
            ];
            for queue in [&self.parked, &self.later, &self.dead] {
                declare(&channel, queue, [quorum.clone()]).await?;
            }
            declare(&channel, &self.orders, dead_letters.into_iter().chain([quorum])).await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            lapin::Result::Ok(Link { channel, connection })
        };
        in_time(connecting).await.context("RabbitMQ")
    }
}

/// Waits for RabbitMQ, but at most 5 s.
pub(crate) async fn in_time<T>(work: impl Future<Output = lapin::Result<T>>) -> anyhow::Result<T> {
    Ok(timeout(PATIENCE, work).await.context("no answer from RabbitMQ")??)
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
    /// The number of messages in a queue, without those that were delivered and not acknowledged yet.
    pub(crate) async fn waiting(&self, queue: &str) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asking = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        Ok(in_time(asking).await?.message_count())
    }

    /// Whether RabbitMQ accepts no messages, because its memory or disk is full. It says so when a message is published.
    pub(crate) fn is_blocked(&self) -> bool {
        let status = self.connection.status();
        status.connected() && status.blocked()
    }

    /// Publishes to a queue, and waits until RabbitMQ has the message on disk. While RabbitMQ accepts no messages, this waits:
    /// RabbitMQ does not even notice a closed connection then, so abandoned connections would pile up.
    ///
    /// # Errors
    /// RabbitMQ does not confirm the message, or there is no such queue. An unroutable message is confirmed as well, and is
    /// returned only because of `mandatory`.
    pub(crate) async fn publish(&self, queue: &str, message: &Message) -> anyhow::Result<()> {
        match self.confirmed(queue, message).await? {
            Confirmation::Ack(None) => {
                metrics::counter!("published_total").increment(1);
                Ok(())
            }
            Confirmation::Ack(Some(returned)) => {
                metrics::counter!("returned_total").increment(1);
                bail!("{queue}: sent back: {}", returned.reply_text)
            }
            other => bail!("{queue}: not taken: {other:?}"),
        }
    }

    /// Checks that RabbitMQ accepts messages: publishes one that has no queue, which RabbitMQ returns.
    pub(crate) async fn try_publish(&self) -> anyhow::Result<()> {
        ensure!(!self.is_blocked(), "RabbitMQ takes no messages");
        timeout(PATIENCE, self.confirmed("", &Message::raw(Vec::new())))
            .await
            .context("RabbitMQ takes no messages")?
            .map(drop)
    }

    async fn confirmed(&self, queue: &str, Message { properties, body }: &Message) -> anyhow::Result<Confirmation> {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let persistent = properties.clone().with_delivery_mode(2);
        let publishing =
            async { self.channel.basic_publish("".into(), queue.into(), options, body, persistent).await?.await };
        let mut publishing = pin!(publishing);
        loop {
            match timeout(PATIENCE, &mut publishing).await {
                Ok(confirmation) => return Ok(confirmation?),
                Err(_) if self.is_blocked() => {} // its heartbeats show that it is alive
                Err(_) => bail!("RabbitMQ does not confirm"),
            }
        }
    }
}
