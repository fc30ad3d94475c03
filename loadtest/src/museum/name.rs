//! The names of the exhibits that are shops: a leaf, so that a plan can name one.

use std::fmt;

use clap::ValueEnum;

/// A shop with one mistake, over the parts of its chapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WrongShop {
    /// Sells while `sold <= stock`
    OneTooMany,
    /// Asks the rate limiter and drops its answer
    LimiterIgnored,
    /// Reads the number of tries, compares, and writes it back
    CapReadThenWrite,
    /// Makes the hidden path from the sum of buyer and sale
    IdsAdded,
}

impl fmt::Display for WrongShop {
    /// The name on the command line.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}
