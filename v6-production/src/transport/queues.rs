use lapin::{
    Channel, Connection,
    ErrorKind::ProtocolError,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};

use super::Transport;

/// How often a message is delivered without being acknowledged, before it is sent to the dead letters.
const DELIVERY_LIMIT: i64 = 5;
/// On how many nodes of a cluster a queue is. RabbitMQ confirms a message when the majority has it on disk, so one node may fail.
const REPLICAS: usize = 3;

/// A queue's argument and its value.
type Argument = (&'static str, AMQPValue);

impl Transport {
    /// Creates the queues that do not exist. They are quorum queues, which are on the disks of a majority of their nodes.
    pub(super) async fn declare(&self, connection: &Connection) -> lapin::Result<Channel> {
        let mut channel = connection.create_channel().await?;
        for queue in [&self.parked, &self.later, &self.dead] {
            channel = self.declare_one(connection, channel, queue, Vec::new()).await?;
        }
        let dead_letters = vec![
            ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT)),
            ("x-dead-letter-exchange", AMQPValue::LongString("".into())),
            ("x-dead-letter-routing-key", AMQPValue::LongString(self.dead.as_str().into())),
            // A dead letter is removed from its queue only when it is stored in the other one.
            ("x-dead-letter-strategy", AMQPValue::LongString("at-least-once".into())),
            ("x-overflow", AMQPValue::LongString("reject-publish".into())),
        ];
        self.declare_one(connection, channel, &self.orders, dead_letters).await
    }

    /// Creates a queue, on three nodes if at least three are named. A queue of another size, from before, is used as it is.
    /// Returns the channel to continue with, because RabbitMQ closes a channel after an error.
    async fn declare_one(
        &self,
        connection: &Connection,
        channel: Channel,
        queue: &str,
        arguments: Vec<Argument>,
    ) -> lapin::Result<Channel> {
        let is_cluster = self.nodes.len() >= REPLICAS;
        match declare(&channel, queue, &arguments, is_cluster).await {
            Ok(()) => Ok(channel),
            Err(error) if is_another(&error) => {
                let channel = connection.create_channel().await?;
                declare(&channel, queue, &arguments, !is_cluster).await.map(|()| channel)
            }
            Err(error) => Err(error),
        }
    }
}

async fn declare(channel: &Channel, queue: &str, arguments: &[Argument], is_replicated: bool) -> lapin::Result<()> {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    if is_replicated {
        table.insert("x-quorum-initial-group-size".into(), AMQPValue::LongLongInt(REPLICAS as i64));
    }
    for (key, value) in arguments {
        table.insert((*key).into(), value.clone());
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, table).await.map(drop)
}

/// Whether RabbitMQ has a queue of this name with other arguments (406, PRECONDITION_FAILED).
fn is_another(error: &lapin::Error) -> bool {
    matches!(error.kind(), ProtocolError(error) if error.get_id() == 406)
}
