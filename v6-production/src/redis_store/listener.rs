use std::{pin::Pin, time::Duration};

use anyhow::{Context, bail};
use futures_util::StreamExt;
use redis::{
    Msg, Value,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    sync::watch,
    time::{Interval, interval, timeout},
};

use super::{CONNECT, RedisStore};

/// How often a connection that only listens is pinged.
const PING_EVERY: Duration = Duration::from_secs(2);

/// A connection that only listens.
pub(crate) struct Listener {
    sink: PubSubSink,
    news: Pin<Box<PubSubStream>>,
    pings: Interval,
    replaced: watch::Receiver<u64>,
}

impl Listener {
    /// The next message. Pings the server, because a connection that only listens would not notice that the server is gone.
    ///
    /// # Errors
    /// The connection is closed or does not answer, or the shared connection was replaced.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Msg> {
        loop {
            tokio::select! {
                message = self.news.next() => return message.context("Redis hung up"),
                // The name in the URL may lead to another server now.
                _ = self.replaced.changed() => bail!("the way to Redis has changed"),
                _ = self.pings.tick() => {
                    let _: Value = timeout(CONNECT, self.sink.ping()).await.context("Redis is silent")??;
                }
            }
        }
    }
}

impl RedisStore {
    /// Subscribes to a channel. A message reaches all nodes of a cluster, so any of them will do.
    pub(crate) async fn listen(&self, channel: &str) -> anyhow::Result<Listener> {
        let replaced = self.changed();
        let mut shard = fastrand::choice(self.shards()).context("Redis has no primary")?;
        // The name in the URL may lead to another server at any moment. The shared connection opens with its first command, so it
        // has one now: opened after the listener, it could go to the new server while the listener stays at the old one.
        let _: Value = redis::cmd("PING").query_async(&mut shard).await?;
        let mut listener = timeout(CONNECT, shard.client().get_async_pubsub()).await??;
        timeout(CONNECT, listener.subscribe(channel)).await??;
        let (sink, news) = listener.split();
        Ok(Listener { sink, news: Box::pin(news), pings: interval(PING_EVERY), replaced })
    }
}

#[cfg(test)]
mod tests {
    use redis::aio::ConnectionManagerConfig;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::mpsc,
    };

    use super::*;
    use crate::redis_store::shards::Shards;

    #[tokio::test]
    async fn the_shared_connection_is_open_before_the_listener() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", server.local_addr().unwrap()).parse().unwrap();
        let (told, mut commands) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for number in 0.. {
                let (connection, _) = server.accept().await.unwrap();
                tokio::spawn(serve(connection, number, told.clone()));
            }
        });
        let patience = Some(Duration::from_secs(30));
        let config = ConnectionManagerConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
        let shards = Shards::open(&[url], config).await.unwrap();
        let redis = RedisStore { shards, is_cluster: false, namespace: String::new(), replicas: 0, timeout: CONNECT };

        let _listener = redis.listen("news").await.unwrap();
        assert_eq!(redis.publish("news", String::new()).await.unwrap(), 1);
        let mut number_of = |wanted: &str| loop {
            let (number, command) = commands.try_recv().unwrap();
            if command == wanted {
                break number;
            }
        };
        assert_eq!((number_of("SUBSCRIBE"), number_of("PUBLISH")), (1, 0));
    }

    /// Answers each command, and tells on which connection it came.
    async fn serve(mut connection: TcpStream, number: usize, told: mpsc::UnboundedSender<(usize, String)>) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = connection.read(&mut buffer).await {
            let text = String::from_utf8_lossy(&buffer[..length]).to_uppercase();
            for command in text.split('*').skip(1) {
                let name = command.split("\r\n").nth(2).unwrap_or_default();
                told.send((number, name.to_owned())).unwrap();
                let answer = match name {
                    "SUBSCRIBE" => "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
                    "PUBLISH" => ":1\r\n",
                    _ => "+OK\r\n",
                };
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }
}
