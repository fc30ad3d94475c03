//! A queue on a private RabbitMQ, for the exhibits about acknowledgements.

use std::time::Duration;

use anyhow::{Context, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};
use tokio::time::sleep;
use url::Url;

use super::small_sale::{SmallSale, order, take};

/// The queue. RabbitMQ is the exhibit's own, so the name cannot collide.
const ORDERS: &str = "orders";
/// The most messages that RabbitMQ delivers without an acknowledgement.
pub(super) const PREFETCH: u16 = 16;

/// A connection to RabbitMQ, of the shop or of a worker.
pub(super) struct Broker {
    connection: Connection,
    channel: Channel,
}

impl Broker {
    /// Connects, and creates the queue if it does not exist.
    pub(super) async fn connect(url: &Url) -> anyhow::Result<Broker> {
        let connection =
            Connection::connect(url.as_str(), ConnectionProperties::default()).await.context("RabbitMQ")?;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(ORDERS.into(), durable, FieldTable::default()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Broker { connection, channel })
    }

    /// Publishes a buyer's message, and waits until RabbitMQ has it.
    pub(super) async fn publish(&self, buyer_id: i64) -> anyhow::Result<()> {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let body = buyer_id.to_be_bytes();
        self.channel.basic_publish("".into(), ORDERS.into(), options, &body, properties).await?.await?;
        Ok(())
    }

    /// Begins to receive messages, with manual acknowledgements and at most this many without one.
    pub(super) async fn consume(&self, prefetch: u16) -> anyhow::Result<Consumer> {
        self.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        Ok(self.channel.basic_consume(ORDERS.into(), "".into(), options, FieldTable::default()).await?)
    }

    /// Waits until no worker receives messages any more, and returns the number of messages that wait. RabbitMQ puts back what a
    /// lost worker has not acknowledged when it forgets that worker.
    pub(super) async fn left_by_workers(&self) -> anyhow::Result<u32> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        for _ in 0..1000 {
            let queue = self.channel.queue_declare(ORDERS.into(), passive, FieldTable::default()).await?;
            if queue.consumer_count() == 0 {
                return Ok(queue.message_count());
            }
            sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("RabbitMQ does not notice that the worker has gone")
    }

    /// Closes the connection, as the end of the process does.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        Ok(self.connection.close(200, "".into()).await?)
    }
}

/// The buyer of a message.
fn buyer(message: &Delivery) -> anyhow::Result<i64> {
    Ok(i64::from_be_bytes(message.data.as_slice().try_into().context("a message of another program")?))
}

/// Turns a message into an order, and commits.
pub(super) async fn place(sale: &SmallSale<'_>, message: &Delivery) -> anyhow::Result<()> {
    let mut tx = sale.shop.pool.begin().await?;
    ensure!(take(&mut tx).await?, "no unit is left");
    order(&mut tx, buyer(message)?, "confirmed").await?;
    Ok(tx.commit().await?)
}
