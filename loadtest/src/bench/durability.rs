//! What an order costs when the servers write it to disk sooner or later than they do in the shop.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sqlx::{AnyPool, AssertSqlSafe};
use tokio::time::sleep;

use super::{
    LONGEST,
    growth::{Buyers, CONNECTIONS},
    sales::{Asking, Market, Sold, plan},
    sampler::Sampler,
};
use crate::{
    lab::stores::Stores,
    record::bench::{Durability, Sample, Subject},
    version::Version,
};

/// How long PostgreSQL may take to read its settings again.
const RELOADED_WITHIN: Duration = Duration::from_secs(10);

const OF_V6: [Durability; 5] = [
    Durability::AsInTheShop,
    Durability::RedisAlways,
    Durability::RedisNever,
    Durability::CommitWithoutWaiting,
    Durability::PostgresNever,
];
/// Chapter 2 has no Redis.
const OF_V2: [Durability; 3] = [Durability::AsInTheShop, Durability::CommitWithoutWaiting, Durability::PostgresNever];

impl<S: FnMut(&Sample)> Sampler<'_, S> {
    /// Sells with each durability in turn, `loads` times, `buyers` each time.
    pub(super) async fn durability(&mut self, loads: u32, buyers: usize) -> anyhow::Result<()> {
        let sales: [(Version, &[Durability], usize); 2] =
            [(Version::V2, &OF_V2, self.size.buyers_of_others), (Version::V6, &OF_V6, buyers)];
        for (version, settings, buyers) in sales {
            let all = settings.len() * loads as usize * buyers;
            let market = Market::open(self.lab, &plan(version, all, self.seed)).await?;
            let mut next = Buyers::of(&market);
            for round in 1..=loads {
                for &durability in settings {
                    self.set(market.deployment.stores.as_ref(), durability).await?;
                    let asking = Asking { connections: CONNECTIONS, lasts: LONGEST, rate: None };
                    let sold = market.sell(self.lab, next.take(buyers), asking).await;
                    self.set(market.deployment.stores.as_ref(), Durability::AsInTheShop).await?;
                    self.durable(round, version, durability, sold?);
                }
            }
            market.close(self.lab).await?;
        }
        Ok(())
    }

    fn durable(&mut self, round: u32, version: Version, durability: Durability, sold: Sold) {
        self.round = round;
        let Sold { loaded, cost, to_confirmed: to_confirmed_ms, per_second, wrong, .. } = sold;
        let more = |sample| Sample { latency_ms: loaded.latency, to_confirmed_ms, cost, wrong, ..sample };
        self.add(Subject::Durable(version, durability), CONNECTIONS, per_second, more);
    }

    /// Sets the durability of all private servers.
    async fn set(&self, stores: Option<&Stores>, durability: Durability) -> anyhow::Result<()> {
        let [fsync, commit] = [durability != Durability::PostgresNever, durability != Durability::CommitWithoutWaiting]
            .map(|on| if on { "on" } else { "off" });
        let admin = self.lab.admin().context("the benchmark runs on PostgreSQL")?;
        set_postgres(admin, &[("fsync", fsync), ("synchronous_commit", commit)]).await?;
        if let Some(stores) = stores {
            let appendfsync = match durability {
                Durability::RedisAlways => "always",
                Durability::RedisNever => "no",
                Durability::AsInTheShop | Durability::CommitWithoutWaiting | Durability::PostgresNever => "everysec",
            };
            let mut set = redis::cmd("CONFIG");
            let () =
                set.arg("SET").arg("appendfsync").arg(appendfsync).query_async(&mut stores.connect().await?).await?;
        }
        Ok(())
    }
}

/// Sets these for all sessions, and waits until they are in effect: sessions read new settings between two statements.
async fn set_postgres(admin: &AnyPool, settings: &[(&str, &str)]) -> anyhow::Result<()> {
    for (setting, value) in settings {
        let set = AssertSqlSafe(format!("alter system set {setting} = {value}"));
        sqlx::raw_sql(set).execute(admin).await.with_context(|| format!("{setting} = {value}"))?;
    }
    sqlx::query("select pg_reload_conf()").execute(admin).await?;
    for (setting, value) in settings {
        let is_set = async || {
            let now: String = sqlx::query_scalar("select current_setting($1)").bind(*setting).fetch_one(admin).await?;
            anyhow::Ok(now == *value)
        };
        let begun = Instant::now();
        while !is_set().await? {
            ensure!(begun.elapsed() < RELOADED_WITHIN, "PostgreSQL does not set {setting} to {value}");
            sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}
