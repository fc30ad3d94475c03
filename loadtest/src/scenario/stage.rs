//! Where a scenario runs, and its result.

use std::{net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use sqlx::AnyPool;
use url::Url;
use v1_naive::shop::sales::Sale;

use super::plan::Plan;
use crate::{
    buyer::progress::Progress,
    lab::stores::Stores,
    record::{Bystander, Flood, HonestBuyers, Measure, OpenLoop},
    verdict::{audit::Demand, history::Told, ledger::Ledger},
};

/// A script stops after this time, even if it has requests left. A shop that hangs must not block the load test.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// What a scenario runs on: running shops, their database and the plan.
pub struct Stage<'a> {
    /// The addresses of the shop's instances.
    pub shops: &'a [SocketAddr],
    /// A pool on the shop's database.
    pub pool: &'a AnyPool,
    /// The database's URL.
    pub database: &'a Url,
    /// Chapter 6's other servers; `None` for the other chapters.
    pub stores: Option<&'a Stores>,
    /// The numbers of the run.
    pub plan: &'a Plan,
    /// The first sale id that is free.
    pub sale: i64,
    /// Counts the buyers of a crowd or a flood, and ends the run early.
    pub progress: Progress,
}

impl Stage<'_> {
    /// Creates sales directly in the database or stores, as an operator would.
    ///
    /// # Errors
    /// The database or another server fails.
    pub async fn put_up(&self, sales: &[Sale]) -> anyhow::Result<()> {
        if let Some(stores) = self.stores {
            return stores.put_up(self.database, sales).await;
        }
        for sale in sales {
            sale.insert(self.pool).await?;
        }
        Ok(())
    }

    /// Whether the database has as many orders of the sale as it has units. Waits for orders that are on their way to it.
    ///
    /// # Errors
    /// The database or another server fails.
    pub(crate) async fn is_sold_out(&self, sale_id: i64) -> anyhow::Result<bool> {
        Ok(self.ledger(&[sale_id]).await?.is_sold_out(sale_id))
    }

    /// The rows of these sales. Waits for orders that are on their way to the database.
    ///
    /// # Errors
    /// The database or another server fails.
    pub(crate) async fn ledger(&self, sales: &[i64]) -> anyhow::Result<Ledger> {
        if let Some(stores) = self.stores {
            stores.wait_until_quiet(self.pool, sales).await?;
        }
        Ledger::read(self.pool, self.stores, sales).await
    }
}

/// The result of a scenario.
#[derive(Default)]
pub struct Played {
    /// All buyers' answers.
    pub history: Vec<Told>,
    /// The sales of the run.
    pub sales: Vec<i64>,
    /// Requests that were sent.
    pub requests: u64,
    /// The duration of the run.
    pub elapsed: Duration,
    /// When a crowd's barrier opened, in milliseconds since 1970; `None` without a crowd.
    pub began_at: Option<i64>,
    /// The figure; `None` if the scenario has none of its own.
    pub measure: Option<Measure>,
    /// The bystanders' measurements, if there were any.
    pub bystander: Option<Bystander>,
    /// How an open loop went, if it was one.
    pub open_loop: Option<OpenLoop>,
    /// The flood's measurements, if there was one.
    pub flood: Option<Flood>,
    /// The buyers who must get a unit.
    pub demand: Demand,
    /// The honest buyers beside an attack, if there were any.
    pub honest: Option<HonestBuyers>,
    /// Why the run was stopped before its last buyer came; `None` if it was not.
    pub stopped: Option<String>,
    /// Why the run says nothing about the shop although it was not stopped; `None` if it is valid.
    pub invalid: Option<String>,
}

/// Runs `work` on this many connections at the same time. Joins the results and adds up the requests.
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
