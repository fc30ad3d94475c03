//! RabbitMQ: the queues between relay and worker, and the connection.

/// The messages.
pub(crate) mod message;

/// Connecting, without leaving anything behind.
mod attempt;
/// The declaration of the queues.
mod queues;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use lapin::{
    Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::{runtime::Handle, time::timeout};
use url::Url;

use self::message::Message;
pub use self::message::Reservation;

/// How long RabbitMQ may take to connect, to declare, or to confirm.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one of several nodes may take to connect, before the next one is tried. A node that is frozen accepts connections.
const PER_NODE: Duration = Duration::from_millis(1500);
/// Seconds between two heartbeats. After twice this time without one the shop closes the connection. RabbitMQ closes it after two to
/// three times, and gives the messages of a lost host to another worker.
const HEARTBEAT: u16 = 4;

/// RabbitMQ, with the queues of one shop.
#[derive(Clone)]
pub(crate) struct Transport {
    /// The URLs of its nodes.
    nodes: Arc<[String]>,
    /// The index of the node that is tried first. It starts at random, so that instances use different nodes.
    first: Arc<AtomicUsize>,
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
    connection: Closing,
}

/// A connection that is closed when it is dropped.
///
/// lapin closes a dropped connection only when its channels are closed, and a consumer that RabbitMQ has not answered yet keeps
/// its channel open. When RabbitMQ answers at last, it would send messages to that consumer, which has no reader.
struct Closing(Arc<Connection>);

impl Drop for Closing {
    fn drop(&mut self) {
        let connection = self.0.clone();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { timeout(PATIENCE, connection.close(200, "OK".into())).await });
        }
    }
}

impl Transport {
    /// The queues of a shop, on a cluster of at least one node. Nothing is connected yet.
    pub(crate) fn new(nodes: &[Url], namespace: &str) -> Transport {
        let [orders, dead, parked, later] =
            ["orders", "dead", "parked", "later"].map(|queue| format!("{namespace}.{queue}"));
        let first = Arc::new(AtomicUsize::new(fastrand::usize(..nodes.len())));
        Transport { nodes: nodes.iter().map(with_heartbeat).collect(), first, orders, dead, parked, later }
    }

    /// Connects to a node that answers, and creates the queues that do not exist. Takes 5 s at most.
    ///
    /// # Errors
    /// No node answers in time. The error is that of the last one.
    pub(crate) async fn connect(&self) -> anyhow::Result<Link> {
        timeout(PATIENCE, self.connect_to_any())
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("no answer in time")))
            .context("RabbitMQ")
    }

    async fn connect_to_any(&self) -> anyhow::Result<Link> {
        let first = self.first.load(Relaxed);
        let mut failed = anyhow::anyhow!("AMQP_URL names no node");
        for index in (first..).map(|index| index % self.nodes.len()).take(self.nodes.len()) {
            // Noted before the attempt: a caller that gives up meanwhile must not begin with this node again.
            self.first.store(index + 1, Relaxed);
            match self.connect_to(&self.nodes[index]).await {
                Ok(link) => {
                    self.first.store(index, Relaxed);
                    return Ok(link);
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    async fn connect_to(&self, node: &str) -> anyhow::Result<Link> {
        let properties = ConnectionProperties::default().with_connection_name("oversold".into());
        let patience = if self.nodes.len() == 1 { PATIENCE } else { PER_NODE };
        let node = node.parse().map_err(anyhow::Error::msg)?;
        let connection = timeout(patience, attempt::connect(node, properties)).await.context("no answer")??;
        let connection = Closing(Arc::new(connection));
        let channel = self.declare(&connection.0).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Link { channel, connection })
    }
}

fn with_heartbeat(node: &Url) -> String {
    let mut url = node.clone();
    if !url.query_pairs().any(|(key, _)| key == "heartbeat") {
        url.query_pairs_mut().append_pair("heartbeat", &HEARTBEAT.to_string());
    }
    url.into()
}

/// Waits for RabbitMQ, but at most 5 s.
pub(crate) async fn in_time<T>(work: impl Future<Output = lapin::Result<T>>) -> anyhow::Result<T> {
    Ok(timeout(PATIENCE, work).await.context("no answer from RabbitMQ")??)
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
        let status = self.connection.0.status();
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
