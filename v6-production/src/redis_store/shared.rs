use std::{
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use futures_util::{FutureExt, TryFutureExt};
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
};
use tokio::sync::{Notify, watch};
use url::Url;

use super::{CONNECT, failure::is_read_only, slots::Address};

/// What the connections to all servers report.
#[derive(Default)]
pub(super) struct Changes {
    /// Counts replaced connections and changed owners of slots, for listeners with their own connections.
    pub(super) replaced: watch::Sender<u64>,
    /// A command has failed, so another server may have its keys now.
    pub(super) doubted: Notify,
}

impl Changes {
    /// Tells the listeners.
    pub(super) fn tell(&self) {
        self.replaced.send_modify(|number| *number += 1);
    }
}

/// One connection to a server for all requests, which sends many commands at the same time.
///
/// The connection manager of redis-rs replaces a closed connection. This type also replaces a connection that gives no answer in
/// time, because the network path may be broken, and one to a server that accepts no writes, because the name in the URL may lead
/// to another server now.
#[derive(Clone)]
pub(crate) struct SharedConnection(Arc<Shared>);

struct Shared {
    address: Address,
    client: Client,
    config: ConnectionManagerConfig,
    /// The number of the connection, and the connection.
    current: RwLock<(u64, ConnectionManager)>,
    changes: Arc<Changes>,
    /// A second connection to the same server.
    second: OnceLock<SharedConnection>,
}

impl SharedConnection {
    /// A connection to the server at this URL, which the first command opens.
    pub(super) fn lazy(
        url: &Url,
        config: &ConnectionManagerConfig,
        changes: &Arc<Changes>,
    ) -> RedisResult<SharedConnection> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let address = Address { host, port: url.port().unwrap_or(6379) };
        SharedConnection::with(address, Client::open(url.as_str())?, config.clone(), changes.clone())
    }

    fn with(
        address: Address,
        client: Client,
        config: ConnectionManagerConfig,
        changes: Arc<Changes>,
    ) -> RedisResult<SharedConnection> {
        let current = RwLock::new((0, ConnectionManager::new_lazy_with_config(client.clone(), config.clone())?));
        let second = OnceLock::new();
        Ok(SharedConnection(Arc::new(Shared { address, client, config, current, changes, second })))
    }

    /// Host and port of the server.
    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    /// A second connection to the same server, always the same one, for commands that hold up those behind them.
    pub(super) fn second(&self) -> RedisResult<SharedConnection> {
        let Shared { address, client, config, changes, second, .. } = &*self.0;
        if let Some(second) = second.get() {
            return Ok(second.clone());
        }
        let new = SharedConnection::with(address.clone(), client.clone(), config.clone(), changes.clone())?;
        Ok(second.get_or_init(|| new).clone())
    }

    /// A new connection to the same server, for blocking commands.
    ///
    /// # Errors
    /// The server does not answer within `CONNECT`.
    pub(crate) async fn own(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(timeout));
        self.0.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// The client of the server.
    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    fn current(&self) -> (u64, ConnectionManager) {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the connection number `used` after an error that makes it useless, unless it was replaced already.
    fn judge(&self, used: u64, error: &RedisError) {
        self.0.changes.doubted.notify_one();
        if !error.is_timeout() && !is_read_only(error) {
            return;
        }
        let mut current = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.0 == used
            && let Ok(next) = ConnectionManager::new_lazy_with_config(self.0.client.clone(), self.0.config.clone())
        {
            *current = (used + 1, next);
            self.0.changes.tell();
            metrics::counter!("redis_connections_replaced_total").increment(1);
        }
    }
}

impl PartialEq for SharedConnection {
    fn eq(&self, other: &SharedConnection) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Display for SharedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Address { host, port } = &self.0.address;
        write!(f, "{host}:{port}")
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
