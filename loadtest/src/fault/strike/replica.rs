//! A second Redis, which is the primary for a moment.

use std::time::Duration;

use anyhow::{Context, ensure};
use redis::{AsyncCommands, aio::MultiplexedConnection};
use tokio::{
    task::block_in_place,
    time::{Instant, sleep},
};
use url::Url;

use super::target::{LOOK_EVERY, Replica, TO_BE_IN_PLACE, Target, replication};
use crate::lab::{
    servers::{Server, Services},
    stores::connect,
};

/// How long it may take until the next buyers have reserved.
const NEXT: Duration = Duration::from_secs(5);
/// How long until all instances know the new epoch that attaching the replica causes.
const TO_BE_KNOWN: Duration = Duration::from_secs(2);

impl Target<'_> {
    /// Starts a second Redis as a replica. The first replica changes the replication id, so the shop rebuilds the sale. Waits
    /// until that is done.
    pub(super) async fn attach_replica(&mut self) -> anyhow::Result<()> {
        let server = block_in_place(|| Services::start(self.loadtest, &[Server::Redis]))?;
        let url = server.url(Server::Redis).context("the replica has no URL")?.clone();
        let mut redis = connect(&url).await?;
        for redis in [&mut redis, &mut self.redis] {
            set(redis, "repl-diskless-sync-delay", "0").await?;
        }
        follow(&mut redis, &self.stores.redis).await?;
        self.replica = Some(Replica { url, redis, lacks: 0, _server: server });
        self.stores.wait_until_quiet(self.pool, &[self.sale]).await?;
        sleep(TO_BE_KNOWN).await;
        Ok(())
    }

    /// Stops the replication; the next buyers' reservations are then missing in the replica.
    pub(super) async fn outrun_replica(&mut self) -> anyhow::Result<()> {
        lead(&mut self.replica()?.redis).await?;
        self.let_next_in();
        let began = Instant::now();
        while self.lacks().await? == 0 && began.elapsed() < NEXT {
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Makes Redis copy its former replica's older data, then makes it the primary again.
    pub(super) async fn fail_back(&mut self) -> anyhow::Result<()> {
        let lacks = self.lacks().await?;
        let url = self.replica()?.url.clone();
        follow(&mut self.redis, &url).await?;
        self.replica()?.lacks = lacks - self.lacks().await?;
        lead(&mut self.redis).await?;
        self.seen = format!("{lacks} reservations were lost");
        Ok(())
    }

    /// Whether Redis is the primary, has lost reservations, and has a new replication id.
    pub(super) async fn has_older_data(&mut self) -> anyhow::Result<bool> {
        let (role, replid) = (self.replication("role").await?, self.replication("master_replid").await?);
        Ok(self.replica()?.lacks > 0 && role == "master" && self.replid.as_ref() != Some(&replid))
    }

    /// The reservations that Redis has and its replica lacks.
    async fn lacks(&mut self) -> anyhow::Result<i64> {
        let held = self.stores.key(self.sale, "held");
        let has: i64 = self.redis.hlen(&held).await?;
        let replica: i64 = self.replica()?.redis.hlen(&held).await?;
        Ok(has - replica)
    }

    fn replica(&mut self) -> anyhow::Result<&mut Replica> {
        self.replica.as_mut().context("Redis has no replica")
    }
}

/// Makes a Redis the replica of the one at `url`, and waits until it has copied the data.
async fn follow(redis: &mut MultiplexedConnection, url: &Url) -> anyhow::Result<()> {
    set(redis, "masterauth", url.password().unwrap_or_default()).await?;
    let port = url.port().context("a server's URL has no port")?;
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(port).exec_async(redis).await?;
    let began = Instant::now();
    while replication(redis, "master_link_status").await? != "up" {
        ensure!(began.elapsed() < TO_BE_IN_PLACE, "Redis does not become a replica");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Makes a Redis a primary that keeps its data.
async fn lead(redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
    Ok(redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(redis).await?)
}

async fn set(redis: &mut MultiplexedConnection, setting: &str, value: &str) -> anyhow::Result<()> {
    Ok(redis::cmd("CONFIG").arg("SET").arg(setting).arg(value).exec_async(redis).await?)
}
