//! What can be struck.

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
/// How often one looks whether it is.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What can be struck, and what was there before.
pub(in crate::fault) struct Target<'a> {
    pub(super) services: &'a mut Services,
    /// The program that runs servers.
    pub(super) loadtest: &'a Path,
    /// Redis and RabbitMQ as the shop knows them: the checks look there, and not where the strike went.
    pub(in crate::fault) stores: &'a Stores,
    /// PostgreSQL as the shop knows it.
    pub(in crate::fault) database: &'a Url,
    pub(super) pool: &'a AnyPool,
    pub(super) shops: &'a mut [ShopProcess],
    /// The networks of each instance; empty if the fault needs none.
    pub(super) links: &'a [Links],
    /// Open before the crowd comes: it would have to queue with it.
    pub(super) redis: MultiplexedConnection,
    pub(super) sale: i64,
    /// The round's seed.
    pub(super) round: u64,
    /// Lets buyers of the crowd in, and how many may have come when the fault is in place.
    let_in: &'a watch::Sender<usize>,
    before: usize,

    /// The sale's epoch in Redis before the strike, and the replication id of Redis's data.
    epoch: Option<i64>,
    pub(super) replid: Option<String>,
    /// Bytes of Redis's log when it was dead.
    pub(super) bytes: u64,
    /// The instance that is struck, and the ports from which it had connections to PostgreSQL.
    pub(super) chosen: usize,
    pub(super) ports: Vec<u16>,
    /// Entries of the outbox that were acknowledged and not deleted.
    pub(super) torn: Vec<String>,
    /// Follows Redis.
    pub(super) replica: Option<Replica>,
    /// What was struck and seen, for the record.
    pub(in crate::fault) seen: String,
}

/// A second Redis, which follows the first one.
pub(super) struct Replica {
    pub(super) url: Url,
    pub(super) redis: MultiplexedConnection,
    /// Reservations that it lacks.
    pub(super) lacks: i64,
    pub(super) _server: Services,
}

impl<'a> Target<'a> {
    /// What the shop stands on, before it is struck. `let_in` lets buyers in, `before` of them until the fault is in place.
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

    /// Notes what the strike is going to change.
    pub(super) async fn remember(&mut self) -> anyhow::Result<()> {
        self.epoch = self.epoch().await?;
        self.replid = Some(self.replication("master_replid").await?);
        Ok(())
    }

    /// Lets so many buyers come that half of the stock is left.
    pub(super) fn let_next_in(&self) {
        self.let_in.send_if_modified(|come| {
            let more = *come < self.before;
            *come = self.before.max(*come);
            more
        });
    }

    /// Where a server is, as the shop knows it.
    pub(super) fn url(&self, server: Server) -> &Url {
        match server {
            Server::Postgres => self.database,
            Server::Redis => &self.stores.redis,
            Server::RabbitMq => &self.stores.amqp,
            Server::Provider => &self.stores.provider,
        }
    }

    /// A new session in the sale's database.
    pub(super) async fn session(&self) -> anyhow::Result<AnyConnection> {
        AnyConnection::connect(self.database.as_str()).await.context("PostgreSQL")
    }

    /// The one text or number that a query of ours returns; `None` if it returns no row.
    pub(super) async fn ask<T>(&self, query: String) -> anyhow::Result<Option<T>>
    where
        (T,): for<'r> sqlx::FromRow<'r, sqlx::any::AnyRow>,
        T: Send + Unpin,
    {
        Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_optional(self.pool).await?)
    }

    /// Whether Redis has the sale under another epoch than before the strike, or not at all: the leader may have rebuilt it by now.
    pub(super) async fn is_another_epoch(&mut self) -> anyhow::Result<bool> {
        Ok(self.epoch().await? != self.epoch)
    }

    async fn epoch(&mut self) -> anyhow::Result<Option<i64>> {
        Ok(self.redis.hget(self.stores.key(self.sale, "sale"), "epoch").await?)
    }

    /// What Redis, as the shop knows it, says of its replication.
    pub(super) async fn replication(&self, field: &str) -> anyhow::Result<String> {
        replication(&mut self.stores.connect().await?, field).await
    }
}

/// Waits until something is true, but not for ever; whether it is.
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

/// What a Redis says of its replication; empty if it does not say that.
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
