//! The plan of a run: the version, the scenario and the numbers.

use std::time::Duration;

use super::name::Scenario;
use crate::{
    buyer::schedule::Load,
    gates::{self, Gate},
    museum::name::WrongShop,
    mutant::name::Mutant,
    render::text::thousands,
    verdict::threshold::{Threshold, early::Early},
    version::{Variant, Version, title},
};

/// With fewer buyers at once it is chance whether their purchases overlap.
const CROWD: usize = 10;

/// The seed of a plan that names none.
pub const SEED: u64 = 1;

/// The plan of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The version.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// The scenario.
    pub scenario: Scenario,
    /// The number of buyers, each of whom asks once. In an attack, the number of tries.
    pub buyers: usize,
    /// Units of each sale.
    pub stock: i64,
    /// Sales the buyers are spread over.
    pub sales: usize,
    /// Instances of the shop.
    pub instances: usize,
    /// Whether nginx is in front of them.
    pub nginx: bool,
    /// Closed loop, or the schedule of an open one.
    pub load: Load,
    /// Connections the buyers share.
    pub connections: usize,
    /// Database connections of each instance.
    pub pool: u32,
    /// How long bystanders are alone, and how long a flood lasts.
    pub lasts: Duration,
    /// Decides the order of the buyers.
    pub seed: u64,
    /// Further arguments for the shop.
    pub shop_args: Vec<String>,
    /// The mutant that runs instead of the version; `None` in most runs.
    pub mutant: Option<Mutant>,
    /// The exhibit that runs instead of the version; `None` in most runs.
    pub exhibit: Option<WrongShop>,
    /// The gates that the shop is put together without; empty in most runs.
    pub without: Vec<Gate>,
    /// The user's thresholds.
    pub fail_if: Vec<Threshold>,
    /// Whether the run stops as soon as it is certain to fail a threshold.
    pub abort_early: bool,
}

impl Plan {
    /// `v2-pessimistic process-lock`, what it is put together without, and the scenario if it is no stampede.
    pub fn title(&self) -> String {
        let scenario = if self.scenario == Scenario::Stampede { String::new() } else { format!(" {}", self.scenario) };
        format!("{}{}{scenario}", title(self.version, self.variant), gates::missing(&self.without))
    }

    /// The number of buyers with the right word: `10,000 buyers`, `1 buyer`.
    pub(crate) fn counted(&self, one: &str, many: &str) -> String {
        format!("{} {}", thousands(self.buyers as i64), if self.buyers == 1 { one } else { many })
    }

    pub(crate) fn sockets_of_a_crowd(&self) -> usize {
        let doors = if self.nginx { 1 } else { self.instances };
        self.connections.min(self.buyers) * doors
    }

    /// The conditions that stop a crowd early. A restart has none, because its strike waits for the buyers.
    pub(crate) fn early(&self) -> Early {
        let may_stop = self.abort_early && self.scenario != Scenario::Restart;
        let thresholds = if may_stop { self.fail_if.clone() } else { Vec::new() };
        Early { thresholds, stock: self.units(), buyers: self.buyers }
    }

    /// Units of all sales together.
    pub(crate) fn units(&self) -> i64 {
        self.stock * self.sales as i64
    }

    /// Whether enough buyers come at once for their purchases to overlap. In an open loop that is chance.
    pub(crate) fn crowded(&self) -> bool {
        self.load == Load::Closed && self.stock > 0 && self.connections.min(self.buyers) >= CROWD
    }
}
