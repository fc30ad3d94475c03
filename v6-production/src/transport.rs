//! The queue between relay and worker: its names, and how RabbitMQ is to treat it.

/// What a message says.
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
/// Seconds between two heartbeats at most. Either end gives a connection up that has been silent for twice as long; RabbitMQ
/// then hands the messages of a host that is lost to another worker.
const HEARTBEAT: u16 = 4;
/// A message that was given to workers so often and never acknowledged goes to the dead letters.
const DELIVERY_LIMIT: i64 = 5;

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
    /// Messages in a later format than their worker's: for a worker that reads it.
    pub(crate) later: String,
}

/// A connection with the queues declared, and a channel on it.
pub(crate) struct Link {
    pub(crate) channel: Channel,
    /// Kept: with it the channel ends.
    connection: Connection,
}

impl Transport {
    pub(crate) fn new(url: &Url, namespace: &str) -> Transport {
        let [orders, dead, parked, later] =
            ["orders", "dead", "parked", "later"].map(|queue| format!("{namespace}.{queue}"));
        let mut url = url.clone();
        if !url.query_pairs().any(|(key, _)| key == "heartbeat") {
            url.query_pairs_mut().append_pair("heartbeat", &HEARTBEAT.to_string());
        }
        Transport { url: url.into(), orders, dead, parked, later }
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

/// Waits for RabbitMQ, but not for ever.
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
    /// Messages in a queue that no worker has in its hands.
    pub(crate) async fn waiting(&self, queue: &str) -> anyhow::Result<u32> {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let asking = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        Ok(in_time(asking).await?.message_count())
    }

    /// Whether RabbitMQ takes no messages, because its memory or its disk is full. It says so when somebody publishes.
    pub(crate) fn is_blocked(&self) -> bool {
        let status = self.connection.status();
        status.connected() && status.blocked()
    }

    /// Publishes to a queue and waits until RabbitMQ has it on disk. While RabbitMQ takes no messages from anybody, this waits
    /// for that to end: it does not even read the end of a connection then, and those that were given up would pile up.
    ///
    /// # Errors
    /// It does not, or there is no such queue: an unroutable message is confirmed as well, and only `mandatory` has it
    /// sent back.
    pub(crate) async fn publish(&self, queue: &str, message: &Message) -> anyhow::Result<()> {
        match self.confirmed(queue, message).await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(returned)) => {
                metrics::counter!("returned_total").increment(1);
                bail!("{queue}: sent back: {}", returned.reply_text)
            }
            other => bail!("{queue}: not taken: {other:?}"),
        }
    }

    /// Whether RabbitMQ takes messages: publishes one to nobody, and has it sent back.
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
                Err(_) if self.is_blocked() => {} // its heartbeats say that it is there
                Err(_) => bail!("RabbitMQ does not confirm"),
            }
        }
    }
}
