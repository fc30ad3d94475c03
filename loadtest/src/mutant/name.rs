//! The names of the mutants: a leaf, so that a plan can name one.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

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

impl fmt::Display for Mutant {
    /// As the command line takes it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
