//! The servers and instances that faults act on.

use std::{path::Path, time::Duration};

use anyhow::Context;
use redis::{AsyncCommands, aio::MultiplexedConnection};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use url::Url;

use crate::{
    fault::links::Links,
    lab::{
        deployment::Deployment,
        servers::{Server, Services},
        shop_process::ShopProcess,
        stores::Stores,
    },
};

/// How long a fault may take until it is in place: longer than an instance takes to stop.
pub(super) const TO_BE_IN_PLACE: Duration = Duration::from_secs(20);
/// How often to check whether a fault is in place.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What a fault acts on, and its state before the strike.
pub(in crate::fault) struct Target<'a> {
    pub(super) services: &'a mut Services,
    /// The program that runs servers.
    pub(super) loadtest: &'a Path,
    /// Redis and RabbitMQ at the addresses that the shop uses. The checks connect there, not to the servers themselves.
    pub(in crate::fault) stores: &'a Stores,
    /// PostgreSQL at the address that the shop uses.
    pub(in crate::fault) database: &'a Url,
    pub(super) pool: &'a AnyPool,
    pub(super) shops: &'a mut [ShopProcess],
    /// The proxies of each instance; empty if the fault needs none.
    pub(super) links: &'a [Links],
    /// A connection that is opened before the crowd comes; later it would have to queue with the crowd.
    pub(super) redis: MultiplexedConnection,
    pub(super) sale: i64,
    /// The round's seed.
    pub(super) round: u64,
    /// Lets buyers of the crowd in, and how many may have clicked when the fault is in place.
    let_in: &'a watch::Sender<usize>,
    before: usize,

    /// Before the strike: the sale's epoch in Redis, and the replication id of Redis's data.
    epoch: Option<i64>,
    pub(super) replid: Option<String>,
    /// The size of Redis's log in bytes when it was killed.
    pub(super) bytes: u64,
    /// The instance that is struck, and the client ports of its connections to PostgreSQL.
    pub(super) chosen: usize,
    pub(super) ports: Vec<u16>,
    /// Outbox entries that were acknowledged and not deleted.
    pub(super) torn: Vec<String>,
    /// The replica of Redis.
    pub(super) replica: Option<Replica>,
    /// What was struck and what the check saw, for the record.
    pub(in crate::fault) seen: String,
}

/// A second Redis, the replica of the first one.
pub(super) struct Replica {
    pub(super) url: Url,
    pub(super) redis: MultiplexedConnection,
    /// The number of reservations that it lacks.
    pub(super) lacks: i64,
    pub(super) _server: Services,
}

impl<'a> Target<'a> {
    /// Collects what faults act on, before the strike. `let_in` lets buyers in, `before` of them until the fault is in place.
    pub(in crate::fault) async fn new(
        (loadtest, services): (&'a Path, &'a mut Services),
        deployment: &'a mut Deployment,
        links: &'a [Links],
        (sale, round): (i64, u64),
        (let_in, before): (&'a watch::Sender<usize>, usize),
    ) -> anyhow::Result<Target<'a>> {
        let Deployment { database, stores, shops, pool, .. } = deployment;
        let stores = stores.as_ref().context("only chapter 6 has servers that can be struck")?;
        let redis = stores.connect().await?;
        Ok(Target {
            services,
            loadtest,
            stores,
            database: &database.url,
            pool,
            shops,
            links,
            redis,
            sale,
            round,
            let_in,
            before,
            epoch: None,
            replid: None,
            bytes: 0,
            chosen: 0,
            ports: Vec::new(),
            torn: Vec::new(),
            replica: None,
            seen: String::new(),
        })
    }

    /// Records the state that the strike is going to change.
    pub(super) async fn remember(&mut self) -> anyhow::Result<()> {
        self.epoch = self.epoch().await?;
        self.replid = Some(self.replication("master_replid").await?);
        Ok(())
    }

    /// Lets in more buyers, as many as leave half of the stock.
    pub(super) fn let_next_in(&self) {
        self.let_in.send_if_modified(|come| {
            let more = *come < self.before;
            *come = self.before.max(*come);
            more
        });
    }

    /// A server's URL, as the shop uses it; `None` if no shop uses it.
    pub(super) fn url(&self, server: Server) -> Option<&Url> {
        match server {
            Server::Postgres => Some(self.database),
            Server::Redis => Some(&self.stores.redis),
            Server::RabbitMq => Some(&self.stores.amqp),
            Server::Provider => Some(&self.stores.provider),
            Server::RedisCluster | Server::MariaDb | Server::Memcached | Server::ZooKeeper => None,
        }
    }

    /// Opens a new session in the sale's database.
    pub(super) async fn session(&self) -> anyhow::Result<AnyConnection> {
        AnyConnection::connect(self.database.as_str()).await.context("PostgreSQL")
    }

    /// The single value that a query returns; `None` without a row.
    pub(super) async fn ask<T>(&self, query: String) -> anyhow::Result<Option<T>>
    where
        (T,): for<'r> sqlx::FromRow<'r, sqlx::any::AnyRow>,
        T: Send + Unpin,
    {
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_optional(self.pool).await?)
    }

    /// Whether Redis has another epoch of the sale than before the strike, or none. The leader may have rebuilt it by now.
    pub(super) async fn is_another_epoch(&mut self) -> anyhow::Result<bool> {
        Ok(self.epoch().await? != self.epoch)
    }

    async fn epoch(&mut self) -> anyhow::Result<Option<i64>> {
        Ok(self.redis.hget(self.stores.key(self.sale, "sale"), "epoch").await?)
    }

    /// The `replication` section of Redis's `INFO`.
    pub(super) async fn replication(&self, field: &str) -> anyhow::Result<String> {
        replication(&mut self.stores.connect().await?, field).await
    }
}

/// Polls until a condition is true; false if it is not true in time.
pub(super) async fn within(patience: Duration, is_true: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !is_true() {
        if Instant::now() > deadline {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
    true
}

/// A field of Redis's `INFO`; empty if it is missing.
pub(super) async fn replication(redis: &mut MultiplexedConnection, field: &str) -> anyhow::Result<String> {
    let info: String = redis::cmd("INFO").arg("replication").query_async(redis).await?;
    Ok(value_in(&info, field).to_owned())
}

fn value_in<'a>(info: &'a str, field: &str) -> &'a str {
    info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_info_is_found_by_its_whole_name() {
        let info = "# Replication\r\nrole:slave\r\nmaster_replid2:0\r\nmaster_replid:abc\r\n";
        assert_eq!(["role", "master_replid", "master"].map(|field| value_in(info, field)), ["slave", "abc", ""]);
    }
}
