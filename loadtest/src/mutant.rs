//! Mutation tests for our checks: a correct shop and ten with one seeded bug each. Do the checks notice every bug?
//!
//! `shop` has the bugs, and `Mutant::has_to_be_noticed` says which scenario must notice which.

pub mod play;
pub mod shop;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario::{self, EarlyBird, Office, Restart, Scalper, Stampede, TwoInstances};

/// A seeded bug. Except for the slow shop, the bug is in the purchase; the gates are correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// No bug: the control
    Right,
    /// Always answers sold-out
    AlwaysSoldOut,
    /// Always answers 503
    Overloaded,
    /// Answers 200 with a body that is not in the contract
    Garbage,
    /// Sells one unit to the first buyer, then answers sold-out
    FirstBuyerOnly,
    /// Inserts two orders for each buyer
    SellsTwice,
    /// Answers yes and stores nothing
    StoresNothing,
    /// Stores the order and answers no
    TellsNo,
    /// Is correct, but takes forty seconds
    Slow,
    /// Loses every hundredth order
    LosesHundredth,
    /// Stores the order for another buyer
    OtherBuyer,
}

impl Mutant {
    /// Whether this scenario has to notice the bug. The slow shop sells its whole stock, so scenarios that only check the stock
    /// find nothing. Scenarios with fewer than a hundred orders have no hundredth one.
    pub fn has_to_be_noticed(self, scenario: Scenario) -> bool {
        match self {
            Mutant::Right => false,
            Mutant::Slow => ![Stampede, TwoInstances, Restart].contains(&scenario),
            Mutant::LosesHundredth => ![Scalper, EarlyBird, Office].contains(&scenario),
            Mutant::AlwaysSoldOut
            | Mutant::Overloaded
            | Mutant::Garbage
            | Mutant::FirstBuyerOnly
            | Mutant::SellsTwice
            | Mutant::StoresNothing
            | Mutant::TellsNo
            | Mutant::OtherBuyer => true,
        }
    }
}

impl fmt::Display for Mutant {
    /// The name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SCENARIOS;

    #[test]
    fn each_scenario_notices_two_mutants_and_each_mutant_is_noticed() {
        let mutants = Mutant::value_variants();
        for scenario in SCENARIOS {
            let noticed = mutants.iter().filter(|mutant| mutant.has_to_be_noticed(scenario)).count();
            assert!(noticed >= 2, "{scenario} notices {noticed}");
        }
        for mutant in mutants.iter().filter(|mutant| **mutant != Mutant::Right) {
            assert!(SCENARIOS.into_iter().any(|scenario| mutant.has_to_be_noticed(scenario)), "{mutant}");
        }
    }
}
