//! A shop that is right, and ten that are wrong in one way each: do our checks notice?
//!
//! Read `shop` for what each does, and `Mutant::has_to_be_noticed` for the table of what has to notice it.

pub(crate) mod name;
pub mod play;
pub mod shop;

pub use self::name::Mutant;
use crate::scenario::Scenario::{self, EarlyBird, Office, Restart, Scalper, Stampede, TwoInstances};

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

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

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
