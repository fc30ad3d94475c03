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
        let shard = fastrand::choice(self.shards()).context("Redis has no primary")?;
        let mut listener = timeout(CONNECT, shard.client().get_async_pubsub()).await??;
        timeout(CONNECT, listener.subscribe(channel)).await??;
        let (sink, news) = listener.split();
        Ok(Listener { sink, news: Box::pin(news), pings: interval(PING_EVERY), replaced })
    }
}
