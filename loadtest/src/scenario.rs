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
use crate::{
    buyer::progress::Progress,
    lab::{FreshDatabase, Lab, shop_process::ShopProcess},
    record::{Calibration, Run},
    version::Version,
};

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

/// Plays the scenario of the stage's plan. Of a crowd, `at_barrier` is called before the first of them buys.
///
/// # Errors
/// A server's, or a shop's that does not answer, goes away or does not come back.
pub(crate) async fn play(
    lab: &Lab,
    stage: &Stage<'_>,
    database: &FreshDatabase,
    shops: &mut [ShopProcess],
    calibration: Calibration,
    progress: Progress,
    at_barrier: impl AsyncFnOnce(),
) -> anyhow::Result<Played> {
    match stage.plan.scenario {
        Scenario::Flood => flood::play(stage, calibration, stage.plan.lasts).await,
        Scenario::Scalper => scalper::play(stage).await,
        Scenario::EarlyBird => early_bird::play(stage).await,
        Scenario::Forger => forger::play(stage).await,
        Scenario::Office => office::play(stage).await,
        Scenario::Stampede | Scenario::Bystander | Scenario::TwoInstances | Scenario::Restart => {
            stampede::play(lab, stage, database, shops, progress, at_barrier).await
        }
    }
}

impl Run {
    /// The scenario's figure in two or three words.
    pub fn figure(&self) -> String {
        self.scenario.rules().figure(self)
    }
}
