//! The scenarios that a version is tested with: the columns of the table of promises.
//!
//! `name` lists them. Each has its own file with its procedure and its `Rules`: plan, sockets, shop arguments and figure. `plan`
//! holds the numbers of a run, `planning` completes them, and `stage` holds the shops and the database of a run.

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
    lab::{FreshDatabase, Lab, shop_process::ShopProcess},
    record::{Calibration, Run},
    version::Version,
};

impl Scenario {
    /// The scenario's own rules.
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

    /// Extra command-line arguments for the shop of `version`.
    pub fn shop_args(self, version: Version) -> Vec<&'static str> {
        self.rules().shop_args(version)
    }
}

/// Plays the scenario of the stage's plan. A crowd scenario calls `at_barrier` before the first buyer clicks.
///
/// # Errors
/// A server fails, or a shop does not answer, stops during the run or does not restart.
pub(crate) async fn play(
    lab: &Lab,
    stage: &Stage<'_>,
    database: &FreshDatabase,
    shops: &mut [ShopProcess],
    calibration: Calibration,
    at_barrier: impl AsyncFnOnce(),
) -> anyhow::Result<Played> {
    match stage.plan.scenario {
        Scenario::Flood => flood::play(stage, calibration, stage.plan.lasts).await,
        Scenario::Scalper => scalper::play(stage).await,
        Scenario::EarlyBird => early_bird::play(stage).await,
        Scenario::Forger => forger::play(stage).await,
        Scenario::Office => office::play(stage).await,
        Scenario::Stampede | Scenario::Bystander | Scenario::TwoInstances | Scenario::Restart => {
            stampede::play(lab, stage, database, shops, at_barrier).await
        }
    }
}

impl Run {
    /// The scenario's figure in two or three words.
    pub fn figure(&self) -> String {
        self.scenario.rules().figure(self)
    }
}
