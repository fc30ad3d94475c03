//! The names of the mutants: a leaf, so that a plan can name one.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A seeded bug. Except for the slow shop, the bug is in the purchase; the gates are correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mutant {
    /// No bug: the control
    Right,
    /// Always answers sold-out
    AlwaysSoldOut,
    /// Always answers that the sale is over
    AlwaysClosed,
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
    /// Stores the order and answers 500
    Fails,
    /// Is correct, but takes forty seconds
    Slow,
    /// Loses every hundredth order
    LosesHundredth,
    /// Stores the order for another buyer
    OtherBuyer,
}

impl fmt::Display for Mutant {
    /// The name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
