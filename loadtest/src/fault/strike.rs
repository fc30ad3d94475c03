use std::{io, time::Duration};

use anyhow::Context;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::{
    net::TcpStream,
    task::block_in_place,
    time::{Instant, sleep, sleep_until},
};
use url::Url;

use super::Fault::{
    self, InstanceKilled, InstanceStopped, PostgresKilled, RabbitMqKilled, RedisCut, RedisEmptied, RedisFlushed,
    RedisKilled,
};
use crate::{
    services::{Server, Services},
    shop_process::ShopProcess,
    stores::Stores,
};

/// RabbitMQ 3.10 can lose a queue that was declared within the second before a kill -9, and a shop declares its queues once,
/// at start-up. No sale opens so soon after its shop.
const SETTLED: Duration = Duration::from_secs(2);
/// How long a fault may take until it is in place: longer than an instance takes to stop.
const TO_BE_IN_PLACE: Duration = Duration::from_secs(20);
/// How often one looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What can be struck, and what was there before.
pub(super) struct Target<'a> {
    pub(super) services: &'a mut Services,
    /// Redis and RabbitMQ as the shop knows them: the checks look there, and not where the strike went.
    pub(super) stores: &'a Stores,
    /// PostgreSQL as the shop knows it.
    pub(super) database: &'a Url,
    /// Open before the crowd comes: it would have to queue with it.
    pub(super) redis: MultiplexedConnection,
    pub(super) shops: &'a mut [ShopProcess],
    pub(super) sale: i64,
    /// The sale's epoch in Redis before the strike.
    epoch: Option<i64>,
    /// Bytes of Redis's log when it was dead.
    bytes: u64,
}

impl Fault {
    /// Sees to it that the fault is the one that is meant; `up` is when the shops had started.
    pub(super) async fn prepare(self, stores: &Stores, up: Instant) -> anyhow::Result<()> {
        match self {
            RabbitMqKilled => sleep_until(up + SETTLED).await,
            // So that what is cut off is of this sale, and not of all that was sold on this Redis.
            RedisCut => rewrite_log(stores).await?,
            RedisKilled | RedisFlushed | RedisEmptied | PostgresKilled | InstanceKilled | InstanceStopped => {}
        }
        Ok(())
    }

    /// Breaks what it breaks, with what the fault leaves of its data.
    pub(super) async fn strike(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RedisKilled => target.kill(Server::Redis),
            RedisEmptied => target.kill_and_damage(Services::empty),
            RedisCut => target.kill_and_damage(Services::cut),
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

    /// Waits until the fault is in place. Whether it is: a strike may do nothing.
    pub(super) async fn comes_into_place(self, target: &mut Target<'_>) -> anyhow::Result<bool> {
        let deadline = Instant::now() + TO_BE_IN_PLACE;
        while !self.is_in_place(target).await? {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(LOOK_EVERY).await;
        }
        Ok(true)
    }

    /// Whether the shop has to do without what was struck, seen from where the shop is.
    async fn is_in_place(self, target: &mut Target<'_>) -> anyhow::Result<bool> {
        Ok(match self {
            RedisKilled => refuses(&target.stores.redis).await?,
            RedisEmptied => refuses(&target.stores.redis).await? && target.bytes()? == 0,
            RedisCut => refuses(&target.stores.redis).await? && target.bytes()? < target.bytes,
            // By now the leader may have made the sale again, under the next epoch.
            RedisFlushed => target.epoch().await? != target.epoch,
            RabbitMqKilled => refuses(&target.stores.amqp).await?,
            PostgresKilled => refuses(target.database).await?,
            InstanceKilled | InstanceStopped => refuses_at(&target.shops[0].address.to_string()).await?,
        })
    }

    /// Starts again what was struck; returns when it is up.
    pub(super) async fn mend(self, target: &mut Target<'_>) -> anyhow::Result<()> {
        match self {
            RedisKilled | RedisEmptied | RedisCut => target.start(Server::Redis),
            RedisFlushed => Ok(()),
            RabbitMqKilled => target.start(Server::RabbitMq),
            PostgresKilled => target.start(Server::Postgres),
            InstanceKilled | InstanceStopped => target.shops[0].start_again().await,
        }
    }
}

impl<'a> Target<'a> {
    /// What the shop stands on, before it is struck.
    pub(super) async fn new(
        services: &'a mut Services,
        stores: &'a Stores,
        database: &'a Url,
        shops: &'a mut [ShopProcess],
        sale: i64,
    ) -> anyhow::Result<Target<'a>> {
        let redis = stores.connect().await?;
        let mut target = Target { services, stores, database, redis, shops, sale, epoch: None, bytes: 0 };
        target.epoch = target.epoch().await?;
        Ok(target)
    }

    fn kill(&mut self, server: Server) -> anyhow::Result<()> {
        block_in_place(|| self.services.kill(server))
    }

    fn start(&mut self, server: Server) -> anyhow::Result<()> {
        block_in_place(|| self.services.start_again(server))
    }

    /// Kills Redis, and does this to its data.
    fn kill_and_damage(
        &mut self,
        damage: impl FnOnce(&mut Services, Server) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.kill(Server::Redis)?;
        self.bytes = self.bytes()?;
        block_in_place(|| damage(self.services, Server::Redis))
    }

    fn bytes(&mut self) -> anyhow::Result<u64> {
        block_in_place(|| self.services.bytes(Server::Redis))
    }

    async fn epoch(&mut self) -> anyhow::Result<Option<i64>> {
        Ok(self.redis.hget(self.stores.key(self.sale, "sale"), "epoch").await?)
    }
}

async fn refuses(server: &Url) -> anyhow::Result<bool> {
    let (host, port) = (server.host_str().context("a server's URL has no host")?, server.port());
    refuses_at(&format!("{host}:{}", port.context("a server's URL has no port")?)).await
}

/// Whether nobody listens at an address. A connection that is reset was waiting to be accepted when the listener went away: one looks
/// again. Any other error says nothing of that.
async fn refuses_at(address: &str) -> anyhow::Result<bool> {
    match TcpStream::connect(address).await {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot tell whether somebody listens at {address}")),
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
