//! The scenarios by name: a leaf, which everything else may use.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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

    /// Whether everybody wants a unit at the same moment.
    pub fn is_a_crowd(self) -> bool {
        match self {
            Scenario::Stampede | Scenario::Bystander | Scenario::TwoInstances | Scenario::Restart => true,
            Scenario::Flood | Scenario::Scalper | Scenario::EarlyBird | Scenario::Forger | Scenario::Office => false,
        }
    }

    /// Whether its figure is about time, so that it wants the machine for itself.
    pub(crate) fn is_about_time(self) -> bool {
        match self {
            Scenario::Bystander | Scenario::Flood => true,
            Scenario::Stampede
            | Scenario::Scalper
            | Scenario::EarlyBird
            | Scenario::Forger
            | Scenario::Office
            | Scenario::TwoInstances
            | Scenario::Restart => false,
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
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
