//! Mutation tests for our checks: a correct shop and twelve with one seeded bug each. Do the checks notice every bug?
//!
//! `shop` has the bugs, and `Mutant::has_to_be_noticed` says which scenario must notice which.

pub(crate) mod name;
pub mod play;
pub mod shop;

pub use self::name::Mutant;
use crate::scenario::Scenario::{self, EarlyBird, Office, Restart, Scalper, Stampede, TwoInstances};

impl Mutant {
    /// Whether this scenario has to notice the bug. The slow shop sells its whole stock, so scenarios that only check the stock
    /// find nothing. Scenarios with fewer than a hundred orders have no hundredth one.
    pub fn has_to_be_noticed(self, scenario: Scenario) -> bool {
        match self {
            Mutant::Right => false,
            Mutant::Slow => ![Stampede, TwoInstances, Restart].contains(&scenario),
            Mutant::LosesHundredth => ![Scalper, EarlyBird, Office].contains(&scenario),
            Mutant::AlwaysSoldOut
            | Mutant::AlwaysClosed
            | Mutant::Overloaded
            | Mutant::Garbage
            | Mutant::FirstBuyerOnly
            | Mutant::SellsTwice
            | Mutant::StoresNothing
            | Mutant::TellsNo
            | Mutant::Fails
            | Mutant::OtherBuyer => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

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
