//! Where a scenario is played, and what was played.

use std::{net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use sqlx::AnyPool;
use url::Url;
use v1_naive::shop::sales::Sale;

use super::plan::Plan;
use crate::{
    lab::stores::Stores,
    record::{Bystander, Flood, HonestBuyers, Measure, OpenLoop},
    verdict::{audit::Demand, history::Told, ledger::Ledger},
};

/// An attack by a script ends after this time, however few tries that were: a shop that hangs must not hang the load test.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// Where a scenario is played: shops that are up, and the database behind them.
pub struct Stage<'a> {
    /// The instances.
    pub shops: &'a [SocketAddr],
    /// The database.
    pub pool: &'a AnyPool,
    /// Where it is.
    pub database: &'a Url,
    /// What there is beside it.
    pub stores: Option<&'a Stores>,
    /// How many, for how long.
    pub plan: &'a Plan,
    /// The first sale that is free.
    pub sale: i64,
}

impl Stage<'_> {
    /// Puts sales up behind the shop's back, as an operator would.
    ///
    /// # Errors
    /// The database's, or another server's.
    pub async fn put_up(&self, sales: &[Sale]) -> anyhow::Result<()> {
        if let Some(stores) = self.stores {
            return stores.put_up(self.database, sales).await;
        }
        for sale in sales {
            sale.insert(self.pool).await?;
        }
        Ok(())
    }

    /// Whether the database has as many orders of the sale as it has units. What is on its way there is waited for.
    ///
    /// # Errors
    /// The database's, or another server's.
    pub(crate) async fn is_sold_out(&self, sale_id: i64) -> anyhow::Result<bool> {
        if let Some(stores) = self.stores {
            stores.wait_until_quiet(self.pool, &[sale_id]).await?;
        }
        Ok(Ledger::read(self.pool, self.stores, &[sale_id]).await?.is_sold_out(sale_id))
    }
}

/// What was played.
#[derive(Default)]
pub struct Played {
    /// What everybody was told.
    pub history: Vec<Told>,
    /// The sales it was about.
    pub sales: Vec<i64>,
    /// Requests sent.
    pub requests: u64,
    /// From the first to the last answer.
    pub elapsed: Duration,
    /// When a crowd began, in milliseconds since 1970.
    pub began_at: Option<i64>,
    /// The figure, if it could be measured.
    pub measure: Option<Measure>,
    /// The other sale's buyers.
    pub bystander: Option<Bystander>,
    /// How an open loop went.
    pub open_loop: Option<OpenLoop>,
    /// What came in when it flooded.
    pub flood: Option<Flood>,
    /// Who has to get a unit.
    pub demand: Demand,
    /// The honest buyers beside an attack.
    pub honest: Option<HonestBuyers>,
    /// Why what was played says nothing about the shop; `None` if it does.
    pub invalid: Option<String>,
}

/// Does `work` on so many connections at the same time; joins what was told and how many requests it took.
pub(crate) async fn at_once<T>(
    connections: usize,
    work: impl AsyncFn(usize) -> anyhow::Result<(Vec<T>, u64)>,
) -> anyhow::Result<(Vec<T>, u64)> {
    let mut working: FuturesUnordered<_> = (0..connections).map(|n| work(n)).collect();
    let (mut all, mut requests) = (Vec::new(), 0);
    while let Some(done) = working.next().await {
        let (told, sent) = done?;
        all.extend(told);
        requests += sent;
    }
    Ok((all, requests))
}
