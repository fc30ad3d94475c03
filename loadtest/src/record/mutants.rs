//! What came of the mutants.

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{mutant::Mutant, scenario::Scenario};

/// What a scenario says of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// It holds.
    Green,
    /// It does not.
    Red,
}

/// One mutant in one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The shop.
    pub mutant: Mutant,
    /// What it was put through.
    pub scenario: Scenario,
    /// What came out.
    pub colour: Colour,
    /// What was noticed, in a word or two each.
    pub noticed: Vec<String>,
}

impl Cell {
    /// Whether it came out as it has to.
    pub fn is_expected(&self) -> bool {
        self.mutant.has_to_be_noticed(self.scenario) == (self.colour == Colour::Red)
    }

    /// `holds`, or what was noticed first.
    pub fn words(&self) -> String {
        match self.colour {
            Colour::Green => "holds".into(),
            Colour::Red => self.noticed.first().cloned().unwrap_or_else(|| "red".into()),
        }
    }
}

/// A file of mutants.
pub type Mutants = File<Cells>;

/// Mutant by mutant, scenario by scenario.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cells {
    /// The table.
    pub mutants: Vec<Cell>,
}

impl Figures for Cells {
    const KIND: Kind = Kind::Mutants;
}
