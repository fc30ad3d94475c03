//! What a version is put through: the columns of the table of promises.

/// Buyers of another sale beside a stampede.
pub mod bystander;
/// How much a small shop can do.
pub mod calibration;
/// A script that does not wait for the opening.
pub mod early_bird;
/// Five times more than the shop can do, from a few clients.
pub mod flood;
/// Addresses to buy at that nobody gave out.
pub mod forger;
/// Buyers who only want one unit, beside an attack.
pub(crate) mod honest;
/// Fifty honest buyers behind one address.
pub mod office;
/// What is to be run.
pub mod plan;
/// The shop killed in the middle.
pub mod restart;
/// What is particular about a scenario.
mod rules;
/// One buyer who wants everything.
pub mod scalper;
/// All buyers at once.
pub mod stampede;

use std::{fmt, net::SocketAddr, time::Duration};

use clap::ValueEnum;
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde::{Deserialize, Serialize};
use sqlx::AnyPool;
use url::Url;
use v1_naive::shop::sales::Sale;

use self::plan::Plan;
pub(crate) use self::rules::Rules;
use crate::{
    lab::stores::Stores,
    record::{Bystander, Flood, HonestBuyers},
    verdict::{
        audit::Demand,
        history::{Answer, Told},
        ledger::Ledger,
    },
    version::Version,
};

/// An attack by a script ends after this time, however few tries that were: a shop that hangs must not hang the load test.
const LONGEST: Duration = Duration::from_secs(60);

/// What is done to a version, and what is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All buyers at once: oversold? undersold?
    Stampede,
    /// The same, and buyers of another sale beside it: how long do they wait?
    Bystander,
    /// Five times what the shop can do, from a few clients: do honest buyers still get an answer?
    Flood,
    /// One buyer from a thousand addresses: how many units?
    Scalper,
    /// Before the opening and after the close: how many orders?
    EarlyBird,
    /// Computed, foreign, used and expired addresses to buy at: how many are taken?
    Forger,
    /// Honest buyers behind one IP address: do all of them get a unit?
    Office,
    /// A stampede on two processes, each request to the next: are honest buyers turned away?
    TwoInstances,
    /// A stampede, and the shop killed in the middle: promises lost, honest buyers turned away?
    Restart,
}

/// All of them, in the order of the table.
pub const SCENARIOS: [Scenario; 9] = [
    Scenario::Stampede,
    Scenario::Bystander,
    Scenario::Flood,
    Scenario::Scalper,
    Scenario::EarlyBird,
    Scenario::Forger,
    Scenario::Office,
    Scenario::TwoInstances,
    Scenario::Restart,
];

impl Scenario {
    /// As the command line and the record write it.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Stampede => "stampede",
            Scenario::Bystander => "bystander",
            Scenario::Flood => "flood",
            Scenario::Scalper => "scalper",
            Scenario::EarlyBird => "early-bird",
            Scenario::Forger => "forger",
            Scenario::Office => "office",
            Scenario::TwoInstances => "two-instances",
            Scenario::Restart => "restart",
        }
    }

    /// What is particular about it.
    pub(crate) fn rules(self) -> &'static dyn Rules {
        match self {
            Scenario::Stampede => &stampede::StampedeRules,
            Scenario::Bystander => &bystander::BystanderRules,
            Scenario::Flood => &flood::FloodRules,
            Scenario::Scalper => &scalper::ScalperRules,
            Scenario::EarlyBird => &early_bird::EarlyBirdRules,
            Scenario::Forger => &forger::ForgerRules,
            Scenario::Office => &office::OfficeRules,
            Scenario::TwoInstances => &stampede::TwoInstancesRules,
            Scenario::Restart => &restart::RestartRules,
        }
    }

    /// What else a version's shop has to be told.
    pub fn shop_args(self, version: Version) -> Vec<&'static str> {
        self.rules().shop_args(version)
    }

    /// Whether everybody wants a unit at the same moment.
    pub fn is_a_crowd(self) -> bool {
        self.rules().is_a_crowd()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The one figure that a scenario is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What was counted.
    pub what: String,
    /// How many; of a flood, a share.
    pub value: f64,
    /// Whether that is what a version has to reach to hold.
    pub holds: bool,
}

impl Measure {
    pub(crate) fn new(what: &str, value: f64, holds: bool) -> Measure {
        Measure { what: what.into(), value, holds }
    }

    /// Something of which there must not be any.
    pub(crate) fn none_of(what: &str, count: usize) -> Measure {
        Measure::new(what, count as f64, count == 0)
    }
}

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
    /// What came in when it flooded.
    pub flood: Option<Flood>,
    /// Who has to get a unit.
    pub demand: Demand,
    /// The honest buyers beside an attack.
    pub honest: Option<HonestBuyers>,
    /// Why what was played says nothing about the shop; `None` if it does.
    pub invalid: Option<String>,
}

/// How many of these were told this.
pub(crate) fn told(history: &[Told], kind: &str) -> usize {
    history.iter().filter(|told| told.answer.kind() == kind).count()
}

pub(crate) fn bought(history: &[Told]) -> usize {
    history.iter().filter(|told| matches!(told.answer, Answer::Bought { .. })).count()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_all_scenarios_in_their_order() {
        assert_eq!(SCENARIOS, Scenario::value_variants());
        assert!(SCENARIOS.iter().enumerate().all(|(column, scenario)| *scenario as usize == column));
    }
}
