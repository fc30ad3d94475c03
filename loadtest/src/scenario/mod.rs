//! What a version is put through: the columns of the table of promises.
//!
//! `name` has them all. Each has a file with all that is particular about it: what is played, and its `Rules` (plan, sockets,
//! arguments for the shop, figure). `plan` is what is to be run, `planning` fills it in, `stage` is where it is played.

/// Buyers of another sale beside a stampede.
pub mod bystander;
/// Measures how much a small shop can do.
pub mod calibration;
/// A script that does not wait for the opening.
pub mod early_bird;
/// Five times more than the shop can do, from a few clients.
pub mod flood;
/// Addresses to buy at that nobody gave out.
pub mod forger;
/// Buyers who only want one unit, beside an attack.
mod honest;
/// The scenarios by name.
mod name;
/// Fifty honest buyers behind one address.
pub mod office;
/// What is to be run.
pub mod plan;
/// Plans as the book has them.
mod planning;
/// The shop killed in the middle.
pub mod restart;
/// What is particular about a scenario.
mod rules;
/// One buyer who wants everything.
pub mod scalper;
/// Where a scenario is played, and what was played.
mod stage;
/// All buyers at once.
pub mod stampede;

use self::rules::Rules;
pub use self::{
    name::{SCENARIOS, Scenario},
    stage::{Played, Stage},
};
use crate::{record::Run, version::Version};

impl Scenario {
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
}

impl Run {
    /// The scenario's figure in two or three words.
    pub fn figure(&self) -> String {
        self.scenario.rules().figure(self)
    }
}
