use std::time::Duration;

use redis::aio::MultiplexedConnection;
use tokio::{
    task::block_in_place,
    time::{Instant, sleep, sleep_until},
};

use super::Fault::{
    self, InstanceKilled, InstanceStopped, PostgresKilled, RabbitMqKilled, RedisCut, RedisEmptied, RedisFlushed,
    RedisKilled,
};
use crate::{
    services::{Server, Services},
    shop_process::ShopProcess,
    stores::Stores,
};

/// RabbitMQ 3.10 can lose a queue that was declared within the second before a kill -9, and a shop declares its queues once
/// in its life. No sale opens so soon after its shop.
const SETTLED: Duration = Duration::from_secs(2);

/// What can be struck.
pub(super) struct Target<'a> {
    pub(super) services: &'a mut Services,
    /// Open before the crowd comes: it would have to stand in line with it.
    pub(super) redis: MultiplexedConnection,
    pub(super) shops: &'a mut [ShopProcess],
}

impl Fault {
    /// Sees to it that the fault is the one that is meant; `up` is when the shops had started.
    pub(super) async fn prepare(self, stores: &Stores, up: Instant) -> anyhow::Result<()> {
        match self {
            RabbitMqKilled => sleep_until(up + SETTLED).await,
            // So that what is cut off is of this sale, and not of all that was sold on this Redis.
            RedisCut => rewrite_log(stores).await?,
            _ => {}
        }
        Ok(())
    }

    /// Breaks what it breaks; returns when that is broken.
    pub(super) async fn strike(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RedisKilled | RedisEmptied | RedisCut => target.kill(Server::Redis),
            RabbitMqKilled => target.kill(Server::RabbitMq),
            PostgresKilled => target.kill(Server::Postgres),
            RedisFlushed => Ok(redis::cmd("FLUSHALL").exec_async(&mut target.redis).await?),
            InstanceKilled => target.shops[0].kill().await,
            InstanceStopped => {
                target.shops[0].ask_to_stop();
                Ok(())
            }
        }
    }

    /// Starts again what was struck, with what the fault leaves of its data; returns when it is up.
    pub(super) async fn mend(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RedisKilled => target.start(Server::Redis),
            RedisFlushed => Ok(()),
            RedisEmptied => {
                block_in_place(|| target.services.empty(Server::Redis))?;
                target.start(Server::Redis)
            }
            RedisCut => {
                block_in_place(|| target.services.cut(Server::Redis))?;
                target.start(Server::Redis)
            }
            RabbitMqKilled => target.start(Server::RabbitMq),
            PostgresKilled => target.start(Server::Postgres),
            InstanceKilled | InstanceStopped => target.shops[0].start_again().await,
        }
    }
}

impl Target<'_> {
    fn kill(&mut self, server: Server) -> anyhow::Result<()> {
        block_in_place(|| self.services.kill(server))
    }

    fn start(&mut self, server: Server) -> anyhow::Result<()> {
        block_in_place(|| self.services.start_again(server))
    }
}

/// Has Redis write all it knows into the base of its log, so that the file of changes is empty.
async fn rewrite_log(stores: &Stores) -> anyhow::Result<()> {
    let mut redis = stores.connect().await?;
    redis::cmd("BGREWRITEAOF").exec_async(&mut redis).await?;
    loop {
        let info: String = redis::cmd("INFO").arg("persistence").query_async(&mut redis).await?;
        if info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0") {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
}
