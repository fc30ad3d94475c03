//! What a version is put through: the columns of the table of promises.
//!
//! `name` has them all. Each has a file with all that is particular about it: what is played, and its `Rules` (plan, sockets,
//! arguments for the shop, figure). `plan` is what is to be run, `planning` fills it in, `stage` is where it is played.

pub mod bystander;
pub mod calibration;
pub mod early_bird;
pub mod flood;
pub mod forger;
mod honest;
mod name;
pub mod office;
pub mod plan;
mod planning;
pub mod restart;
mod rules;
pub mod scalper;
mod stage;
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
