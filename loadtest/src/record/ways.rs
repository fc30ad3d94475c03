//! Ways to take one unit, side by side.

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{
    verdict::latency::Latency,
    ways::{
        audit::Audit,
        way::{Entry, Stock},
    },
};

/// A file of ways.
pub type Ways = File<Measured>;

/// All ways that were asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Measured {
    /// Whether all buyers want one item.
    pub contention: Contention,
    /// What was on sale while rates were measured.
    pub stock: Stock,
    /// The number of processes in the round with several.
    pub processes: i64,
    /// The ways, in the order of the table.
    pub ways: Vec<Way>,
    /// The ways that were not played, each with the reason.
    pub skipped: Vec<Skipped>,
}

impl Figures for Measured {
    const KIND: Kind = Kind::Ways;
}

/// How many buyers want the same item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Contention {
    /// 1,000 units of one item
    Hot,
    /// 10 units of each of 100 items
    Spread,
}

impl Contention {
    /// What is on sale while rates are measured.
    pub fn stock(self) -> Stock {
        match self {
            Contention::Hot => Stock { items: 1, units: 1000 },
            Contention::Spread => Stock { items: 100, units: 10 },
        }
    }

    /// A tenth of it, which every way sells within seconds.
    pub fn small_stock(self) -> Stock {
        match self {
            Contention::Hot => Stock { items: 1, units: 100 },
            Contention::Spread => Stock { items: 10, units: 10 },
        }
    }
}

/// One way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Way {
    /// Its name.
    pub way: String,
    /// When to choose it.
    pub choose_when: String,
    /// Its rates, in the order in which they were measured.
    pub rates: Vec<Rate>,
    /// Calls to servers for each unit that was taken, by one client and by many; `None` if they were not counted.
    pub calls: Option<Calls>,
    /// The audit of a sale by one process; `None` if it was not played.
    pub one_process: Option<Audit>,
    /// The audit of a sale by several processes; `None` if it was not played.
    pub several_processes: Option<Audit>,
    /// The audit of a sale during which the server was killed and restarted; `None` if it was not played.
    pub restart: Option<Audit>,
    /// What happened while a holder was paused; `None` if it was not played.
    pub pause: Option<Pause>,
    /// Why the way failed; `None` if it did not.
    pub failed: Option<String>,
}

/// A rate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rate {
    /// The round, from 1.
    pub round: u32,
    /// The number of clients.
    pub clients: usize,
    /// Units per second, from the start until the last unit was taken.
    pub per_second: f64,
    /// How often a buyer had to ask again, for each unit.
    pub again: f64,
    /// How long buyers with a unit waited; `None` if there were none.
    pub latency_ms: Option<Latency>,
    /// The audit of this sale. It may have ended before all units were sold.
    pub audit: Audit,
}

/// Calls to servers for each unit that was taken.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Calls {
    /// By one client.
    pub alone: f64,
    /// By many clients, calls of those who had to ask again included.
    pub crowd: f64,
}

/// What happened while the process of a holder was paused.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pause {
    /// The units that others took before the holder continued.
    pub meanwhile: usize,
    /// The audit of the sale.
    pub audit: Audit,
}

/// A way that was not played.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub way: String,
    /// What is missing, and what installs it.
    pub why: String,
}

impl Way {
    /// Nothing measured yet.
    pub fn of(entry: &Entry) -> Way {
        let (way, choose_when) = (entry.name.into(), entry.choose_when.into());
        let (calls, one_process, several_processes, restart, pause, failed) = Default::default();
        Way { way, choose_when, rates: Vec::new(), calls, one_process, several_processes, restart, pause, failed }
    }

    /// The units that were sold beyond the stock by one process, in the worst of all sales.
    pub fn oversold(&self) -> i64 {
        let audits = self.rates.iter().map(|rate| &rate.audit).chain(&self.one_process);
        audits.map(|audit| audit.oversold).max().unwrap_or_default()
    }

    /// The rates at this number of clients, one for each round.
    pub fn at(&self, clients: usize) -> impl Iterator<Item = &Rate> {
        self.rates.iter().filter(move |rate| rate.clients == clients)
    }
}

impl Measured {
    /// The numbers of clients, in the order in which they were measured.
    pub fn clients(&self) -> Vec<usize> {
        let mut clients: Vec<_> = self.ways.iter().flat_map(|way| &way.rates).map(|rate| rate.clients).collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }
}
