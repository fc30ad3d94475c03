//! The records of the mutants.

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{mutant::Mutant, scenario::Scenario};

/// The result of a scenario on a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// The mutant passes the scenario.
    Green,
    /// The mutant does not pass.
    Red,
}

/// One mutant in one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The mutant.
    pub mutant: Mutant,
    /// The scenario.
    pub scenario: Scenario,
    /// The result.
    pub colour: Colour,
    /// The findings in a word or two each.
    pub noticed: Vec<String>,
}

impl Cell {
    /// Whether the result is the expected one.
    pub fn is_expected(&self) -> bool {
        self.mutant.has_to_be_noticed(self.scenario) == (self.colour == Colour::Red)
    }

    /// `holds`, or the first finding.
    pub fn words(&self) -> String {
        match self.colour {
            Colour::Green => "holds".into(),
            Colour::Red => self.noticed.first().cloned().unwrap_or_else(|| "red".into()),
        }
    }
}

/// A file of mutants.
pub type Mutants = File<Cells>;

/// The results of every mutant in every scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cells {
    /// The seed of every scenario; `None` in older files.
    #[serde(default)]
    pub seed: Option<u64>,
    /// All results.
    pub mutants: Vec<Cell>,
}

impl Figures for Cells {
    const KIND: Kind = Kind::Mutants;
}
