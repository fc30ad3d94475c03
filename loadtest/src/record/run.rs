//! The record of runs: what was run, and what came of it.

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
    lab::database::Database,
    render::text::thousands,
    scenario::Scenario,
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
    /// What the order of the buyers was drawn from.
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
    /// What it was put through.
    pub scenario: Scenario,
    /// The URL of a shop that was already running; `None` of one that was started for the run.
    #[serde(default)]
    pub url: Option<String>,
    /// What decided when the next buyer asks.
    #[serde(default)]
    pub load: Load,
    /// Where its rows were; `None` of a shop that was already running.
    pub database: Option<Database>,
    /// Instances of the shop.
    pub instances: usize,
    /// Buyers, each of whom asks once; or the tries of whoever is not honest.
    pub buyers: usize,
    /// Units in all sales together.
    pub stock: i64,
    /// Sales the buyers are spread over.
    pub sales: usize,
    /// Connections the buyers share.
    pub connections: usize,
    /// Database connections of each instance.
    pub pool: u32,
    /// Further arguments the shop was started with.
    pub shop_args: Vec<String>,
    /// Order of the buyers.
    pub seed: u64,

    /// What buyers and database say when laid side by side.
    #[serde(flatten)]
    pub audit: Audit,
    /// Buyers of the stampede by what they were told.
    pub outcomes: BTreeMap<String, u64>,
    /// Requests of the stampede since the barrier.
    pub requests: u64,
    /// From the barrier to the last answer.
    pub seconds: f64,
    /// The two above, divided.
    pub requests_per_second: f64,
    /// From the barrier to the answer, in milliseconds, by kind of answer.
    pub latency_ms: Latencies,
    /// What everybody in a crowd waited, in milliseconds, from wanting and from sending.
    #[serde(default)]
    pub times_ms: Option<Times>,
    /// The same by what buyers were told.
    #[serde(default)]
    pub outcome_ms: BTreeMap<String, OutcomeTimes>,
    /// How an open loop went.
    #[serde(default)]
    pub open_loop: Option<OpenLoop>,
    /// How the answers came in: about a hundred points.
    #[serde(default)]
    pub timeline: Vec<Moment>,
    /// When the first buyer was told yes for whom there was no unit, in milliseconds since the barrier.
    pub oversold_after_ms: Option<f64>,
    /// SQL statements per order, as the database server counted them.
    pub statements_per_order: Option<f64>,
    /// How reservations became orders, where a version has both.
    #[serde(default)]
    pub reservations: Option<Reservations>,
    /// What nginx kept away from the shops, if it was there.
    #[serde(default)]
    pub nginx: Option<Edge>,
    /// What the shops counted: `conflicts` (of compare-and-swaps), `give_ups`, `lock_timeouts`, `deadlocks`,
    /// `serialization_failures`, `database_busy`. A counter that never counted is not there.
    pub counters: BTreeMap<String, u64>,
    /// The other sale's buyers.
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
    /// What the version promises here.
    pub promised: Promise,
    /// `as promised`, `not as promised`, `measured` (where either is right), or `invalid` with the reason.
    pub verdict: Verdict,
    /// What else was asked of the run, and what came of it.
    #[serde(default)]
    pub thresholds: Vec<Checked>,
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

/// Requests of a whole run, from opening the page to hearing what came of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Edge {
    /// That came to nginx.
    pub requests: u64,
    /// That it passed on to an instance.
    pub passed_on: u64,
}

/// From Redis to SQL, by their own clocks.
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
        format!("{}{instances}{nginx}{scenario}{url}", title(self.version, self.variant))
    }

    /// Whether stock or promises were broken, wanted or not.
    pub fn is_broken(&self) -> bool {
        let sound = self.audit.is_sound() && self.audit.undersold == 0;
        !sound
            || self.measure.as_ref().is_some_and(|measure| !measure.holds)
            || self.honest.is_some_and(|honest| honest.late > 0)
    }

    /// What a promise is held against.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            audit: &self.audit,
            figure_holds: self.measure.as_ref().is_none_or(|measure| measure.holds),
            late: self.honest.map_or(0, |honest| honest.late),
            beside: self.bystander.as_ref().map(|bystander| &bystander.audit),
            deadlocks: self.counters.get("deadlocks").copied().unwrap_or_default(),
        }
    }

    /// What is most wrong with a crowd's sale, or how much was sold.
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

    /// Whether it failed a threshold of its own.
    pub fn missed_threshold(&self) -> bool {
        self.thresholds.iter().any(|checked| checked.failed)
    }

    /// Buyers who were told yes.
    pub fn told_yes(&self) -> i64 {
        self.told("bought") as i64
    }
}
