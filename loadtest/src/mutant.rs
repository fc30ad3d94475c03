//! A shop that is right, and ten that are wrong in one way each: do our checks notice?
//!
//! Read `shop` for what each does, and `Mutant::has_to_be_noticed` for the table of what has to notice it.

pub mod play;
pub mod shop;

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario::{self, EarlyBird, Office, Restart, Scalper, Stampede, TwoInstances};

/// A way to be wrong. All but the slow one are wrong where the unit is sold; their gates are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// Not wrong at all: the control
    Right,
    /// Says that all is sold out
    AlwaysSoldOut,
    /// Answers 503
    Overloaded,
    /// Answers 200 with something that nobody understands
    Garbage,
    /// Sells to the first buyer, and is sold out for all others
    FirstBuyerOnly,
    /// Writes two orders down for each buyer
    SellsTwice,
    /// Says yes and stores nothing
    StoresNothing,
    /// Stores the order and says no
    TellsNo,
    /// Is right, after forty seconds
    Slow,
    /// Loses every hundredth order
    LosesHundredth,
    /// Writes the order down for another buyer
    OtherBuyer,
}

impl Mutant {
    /// Whether this scenario has to notice. The slow shop sells all it has, so what is only about the stock finds nothing; and
    /// where fewer than a hundred orders are made, none of them is the hundredth.
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
    /// As the command line takes it.
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
    fn each_column_notices_two_and_each_mutant_is_noticed() {
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
