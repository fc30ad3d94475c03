use std::sync::{Arc, PoisonError, RwLock};

use futures_util::{FutureExt, TryFutureExt};
use redis::{
    Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use tokio::sync::watch;

use super::failure::is_read_only;

/// One connection for all requests, which sends many commands at the same time.
///
/// The connection manager of redis-rs replaces a closed connection. This type also replaces a connection that gives no answer in
/// time, because the network path may be broken, and one to a server that accepts no writes, because the name in the URL may lead
/// to another server now.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Shared>);

struct Shared {
    client: Client,
    config: ConnectionManagerConfig,
    /// The number of the connection, and the connection.
    current: RwLock<(u64, ConnectionManager)>,
    /// The number of the connection, for listeners with their own connections.
    replaced: watch::Sender<u64>,
}

impl SharedConnection {
    pub(super) async fn open(client: Client, config: ConnectionManagerConfig) -> RedisResult<SharedConnection> {
        let first = client.get_connection_manager_with_config(config.clone()).await?;
        let (current, replaced) = (RwLock::new((0, first)), watch::Sender::new(0));
        Ok(SharedConnection(Arc::new(Shared { client, config, current, replaced })))
    }

    /// Receives a value whenever the connection is replaced.
    pub(super) fn replaced(&self) -> watch::Receiver<u64> {
        self.0.replaced.subscribe()
    }

    fn current(&self) -> (u64, ConnectionManager) {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the connection number `used` after an error that makes it useless, unless it was replaced already.
    fn judge(&self, used: u64, error: &RedisError) {
        if !error.is_timeout() && !is_read_only(error) {
            return;
        }
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.0 == used
            && let Ok(next) = ConnectionManager::new_lazy_with_config(self.0.client.clone(), self.0.config.clone())
        {
            *current = (used + 1, next);
            self.0.replaced.send_replace(used + 1);
            metrics::counter!("redis_connections_replaced_total").increment(1);
        }
    }
}

impl ConnectionLike for SharedConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let (used, mut connection) = self.current();
        // Up to here a refusal by the server is a value. For the caller it becomes an error.
        let asking = async move { connection.req_packed_command(cmd).await.and_then(Value::extract_error) };
        asking.inspect_err(move |error| self.judge(used, error)).boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let (used, mut connection) = self.current();
        let asking = async move { connection.req_packed_commands(pipeline, offset, count).await };
        asking
            .inspect(move |answers| match answers {
                Ok(answers) => {
                    for answer in answers {
                        if let Value::ServerError(error) = answer {
                            self.judge(used, &error.clone().into());
                        }
                    }
                }
                Err(error) => self.judge(used, error),
            })
            .boxed()
    }

    fn get_db(&self) -> i64 {
        self.current().1.get_db()
    }
}
