//! The record of runs: their plans and their results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    file::{Figures, File, Kind},
    scenarios::{Bystander, Flood, HonestBuyers},
    times::{Latencies, OpenLoop, OutcomeTimes, Times},
    usage::Usage,
};
use crate::{
    buyer::schedule::Load,
    gates::{self, Gate},
    lab::database::Database,
    render::text::thousands,
    scenario::{Scenario, bystander::has_starved},
    verdict::{
        Verdict, audit::Audit, evidence::Evidence, history::Moment, latency::Latency, promise::Promise,
        threshold::Checked,
    },
    version::{Variant, Version, title},
};

/// A file of runs.
pub type Record = File<Runs>;

/// Runs, one per stampede.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Runs {
    /// The seed of the first run.
    pub seed: u64,
    /// In the order in which they were played.
    pub runs: Vec<Run>,
}

impl Figures for Runs {
    const KIND: Kind = Kind::Runs;
}

/// One stampede and its audit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The crate under test.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// The gates that the shop was put together without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Gate>,
    /// The scenario.
    pub scenario: Scenario,
    /// The URL of a shop that was already running; `None` of one that was started for the run.
    #[serde(default)]
    pub url: Option<String>,
    /// Closed loop, or the schedule of an open one.
    #[serde(default)]
    pub load: Load,
    /// The database; `None` of a shop that was already running.
    pub database: Option<Database>,
    /// Instances of the shop.
    pub instances: usize,
    /// The number of buyers, each of whom asks once. In an attack, the number of tries.
    pub buyers: usize,
    /// Units in all sales together.
    pub stock: i64,
    /// Sales the buyers are spread over.
    pub sales: usize,
    /// Connections the buyers share.
    pub connections: usize,
    /// Database connections of each instance; `None` of a shop that was already running.
    pub pool: Option<u32>,
    /// Further arguments the shop was started with.
    pub shop_args: Vec<String>,
    /// The seed that shuffled the buyers.
    pub seed: u64,

    /// The audit: the buyers' answers against the database.
    #[serde(flatten)]
    pub audit: Audit,
    /// The number of buyers by answer.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests of the stampede since the barrier.
    pub requests: u64,
    /// From the barrier to the last answer.
    pub seconds: f64,
    /// Requests divided by seconds.
    pub requests_per_second: f64,
    /// From the barrier to the answer, in milliseconds, by kind of answer.
    pub latency_ms: Latencies,
    /// Latency and service time of all buyers in a crowd, in milliseconds.
    #[serde(default)]
    pub times_ms: Option<Times>,
    /// Latency and service time by answer, in milliseconds.
    #[serde(default)]
    pub outcome_ms: BTreeMap<String, OutcomeTimes>,
    /// The rates and arrivals of an open loop.
    #[serde(default)]
    pub open_loop: Option<OpenLoop>,
    /// The answers over time, about a hundred points.
    #[serde(default)]
    pub timeline: Vec<Moment>,
    /// When the first buyer beyond the stock was told yes, in milliseconds since the barrier.
    pub oversold_after_ms: Option<f64>,
    /// SQL statements per order, as the database server counted them.
    pub statements_per_order: Option<f64>,
    /// How long reservations took to become orders, if the version has both.
    #[serde(default)]
    pub reservations: Option<Reservations>,
    /// The requests to nginx and those that it passed on; `None` without nginx.
    #[serde(default)]
    pub nginx: Option<Edge>,
    /// The shops' counters that are above 0: `conflicts` (lost compare-and-swaps), `give_ups`, `lock_timeouts`, `deadlocks`,
    /// `serialization_failures`, `database_busy` and others.
    pub counters: BTreeMap<String, u64>,
    /// The buyers of another sale.
    pub bystander: Option<Bystander>,
    /// The honest buyers beside an attack.
    #[serde(default)]
    pub honest: Option<HonestBuyers>,
    /// The flood, and the honest buyers in it.
    #[serde(default)]
    pub flood: Option<Flood>,
    /// The one figure that the scenario is about.
    #[serde(default)]
    pub measure: Option<Measure>,
    /// The generator's share of the machine's processors.
    pub generator_share: f64,
    /// What the run took of the machine and of the servers; `None` on a system without `/proc`.
    #[serde(default)]
    pub usage: Option<Usage>,
    /// The version's promise in this scenario.
    pub promised: Promise,
    /// `as promised`, `not as promised`, `measured` (where either is right), or `invalid` with the reason.
    pub verdict: Verdict,
    /// The user's thresholds with the measured values.
    #[serde(default)]
    pub thresholds: Vec<Checked>,
}

/// The one figure that a scenario is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// The name of the figure.
    pub what: String,
    /// The value: a count, or a share in a flood.
    pub value: f64,
    /// Whether a version with this value holds.
    pub holds: bool,
}

impl Measure {
    pub(crate) fn new(what: &str, value: f64, holds: bool) -> Measure {
        Measure { what: what.into(), value, holds }
    }

    /// A count that has to be 0.
    pub(crate) fn none_of(what: &str, count: usize) -> Measure {
        Measure::new(what, count as f64, count == 0)
    }
}

/// The requests of a whole run, from opening the page to the last answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Edge {
    /// Requests to nginx.
    pub requests: u64,
    /// Requests that nginx passed on to an instance.
    pub passed_on: u64,
}

/// The time from Redis to SQL, by their own clocks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reservations {
    /// Milliseconds from the reservation to the transaction that made it an order.
    pub to_confirmed_ms: Latency,
    /// Milliseconds from the barrier to the last of these transactions.
    pub last_commit_ms: Option<i64>,
}

impl Runs {
    /// The first run of a version itself in this scenario.
    pub fn run_of(&self, version: Version, scenario: Scenario) -> Option<&Run> {
        let mut own = self.runs.iter().filter(|run| run.variant.is_none() && run.url.is_none());
        own.find(|run| run.version == version && run.scenario == scenario)
    }
}

impl Run {
    /// `v2-pessimistic process-lock ×2`, `v6-production ×3 nginx`.
    pub fn title(&self) -> String {
        let instances = if self.instances > 1 && self.scenario != Scenario::TwoInstances {
            format!(" ×{}", self.instances)
        } else {
            String::new()
        };
        let nginx = if self.nginx.is_some() { " nginx" } else { "" };
        let scenario = if self.scenario == Scenario::Stampede { String::new() } else { format!(" {}", self.scenario) };
        let url = self.url.as_ref().map_or(String::new(), |url| format!(" at {url}"));
        let gates = gates::missing(&self.without);
        format!("{}{gates}{instances}{nginx}{scenario}{url}", title(self.version, self.variant))
    }

    /// Whether it does not hold, even if the table expects that.
    pub fn is_broken(&self) -> bool {
        !Promise::Holds.kept(&self.evidence())
    }

    /// What came out, in a word: `holds`, `oversells`, `invalid`.
    pub fn word(&self) -> String {
        match self.verdict {
            Verdict::AsPromised => self.promised.to_string(),
            Verdict::NotAsPromised => self.evidence().outcome(),
            Verdict::Measured if self.is_broken() => "breaks".into(),
            Verdict::Measured => "holds".into(),
            Verdict::Invalid(_) => "invalid".into(),
        }
    }

    /// What came out and what was promised: `holds, as promised`, or `undersells; promised: holds`.
    pub fn outcome(&self) -> String {
        self.verdict.says(self.promised, || self.word())
    }

    /// The results that the promise is checked against.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            audit: &self.audit,
            figure_holds: self.measure.as_ref().is_none_or(|measure| measure.holds),
            has_starved: self.bystander.as_ref().is_some_and(has_starved),
            late: self.honest.map_or(0, |honest| honest.late),
            told_yes: Some(self.told("bought")),
            beside: self.bystander.as_ref().map(|bystander| &bystander.audit),
            deadlocks: self.counters.get("deadlocks").copied().unwrap_or_default(),
            may_oversell: self.version == Version::V1,
        }
    }

    /// The worst finding of a crowd's sale, or the number of units sold.
    pub(crate) fn figure_of_a_crowd(&self) -> String {
        let (audit, turned_away) = (&self.audit, self.told("wrong-path"));
        match () {
            () if audit.oversold > 0 => format!("+{} units", thousands(audit.oversold)),
            () if turned_away > 0 => format!("{} refused", thousands(turned_away as i64)),
            () if audit.undersold > 0 => format!("{} left over", thousands(audit.undersold)),
            () if audit.lost_promises > 0 => format!("{} yes lost", thousands(audit.lost_promises)),
            () => format!("{} of {}", thousands(audit.orders), thousands(self.stock)),
        }
    }

    /// The value of the one figure that the scenario is about.
    pub(crate) fn measured(&self) -> f64 {
        self.measure.as_ref().map_or(0.0, |measure| measure.value)
    }

    /// Buyers who were told this.
    pub(crate) fn told(&self, kind: &str) -> u64 {
        self.outcomes.get(kind).copied().unwrap_or_default()
    }

    /// Whether everybody wanted a unit at the same moment.
    pub fn is_a_crowd(&self) -> bool {
        self.scenario.is_a_crowd()
    }

    /// Whether it failed one of the user's thresholds.
    pub fn missed_threshold(&self) -> bool {
        self.thresholds.iter().any(|checked| checked.failed)
    }

    /// Buyers who were told yes.
    pub fn told_yes(&self) -> i64 {
        self.told("bought") as i64
    }
}
