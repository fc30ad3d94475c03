//! The scenarios by name. This module depends on no other.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is done to a version, and what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// All buyers at once: does the shop oversell or undersell?
    Stampede,
    /// A stampede, and buyers of another sale beside it: how much longer do they wait?
    Bystander,
    /// Five times the shop's capacity, from a few clients: are honest buyers still served?
    Flood,
    /// One buyer from a thousand IP addresses: how many units does it get?
    Scalper,
    /// Purchases before the opening and after the close: how many orders are created?
    EarlyBird,
    /// Computed, foreign, used and expired purchase URLs: how many are accepted?
    Forger,
    /// Honest buyers behind one IP address: does each of them get a unit?
    Office,
    /// A stampede on two instances, requests in turn: are honest buyers refused?
    TwoInstances,
    /// A stampede during which the shop is killed: are promises broken, or honest buyers refused?
    Restart,
}

/// All scenarios, in the order of the table.
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
    /// The name on the command line and in records.
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

    /// Whether all buyers want a unit at the same moment.
    pub fn is_a_crowd(self) -> bool {
        match self {
            Scenario::Stampede | Scenario::Bystander | Scenario::TwoInstances | Scenario::Restart => true,
            Scenario::Flood | Scenario::Scalper | Scenario::EarlyBird | Scenario::Forger | Scenario::Office => false,
        }
    }

    /// Whether the figure is a time, so that no other work may run on the machine.
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
