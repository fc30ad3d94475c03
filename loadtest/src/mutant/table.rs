use std::fmt::Write;

use anstream::println;
use anstyle::{AnsiColor, Style};
use serde::{Deserialize, Serialize};

use super::Mutant;
use crate::{
    record::file::{Figures, File, Kind},
    scenario::{SCENARIOS, Scenario},
};

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

/// Prints the table: a row for each mutant, and in each cell what was noticed first.
pub fn print(cells: &[Cell]) {
    let bold = Style::new().bold();
    let columns: String = SCENARIOS.iter().map(|scenario| format!("{scenario:<15}")).collect();
    println!("{bold}{:<18}{columns}{bold:#}", "");
    for row in cells.chunk_by(|a, b| a.mutant == b.mutant) {
        let mut text = format!("{:<18}", row[0].mutant);
        for cell in row {
            let style = AnsiColor::on_default(match cell.colour {
                Colour::Green => AnsiColor::Green,
                Colour::Red => AnsiColor::Red,
            });
            let _ = write!(text, "{style}{:<15}{style:#}", cell.words());
        }
        println!("{text}");
    }
    for cell in cells.iter().filter(|cell| !cell.is_expected()) {
        println!("{bold}{} in {}: came out {}{bold:#}", cell.mutant, cell.scenario, cell.words());
    }
}

/// The same for the book.
pub fn markdown(mutants: &Mutants) -> String {
    let mut table = String::from("| shop |");
    SCENARIOS.iter().for_each(|scenario| table += &format!(" {scenario} |"));
    table += "\n|---|";
    SCENARIOS.iter().for_each(|_| table += "---|");
    for row in mutants.mutants.chunk_by(|a, b| a.mutant == b.mutant) {
        let _ = write!(table, "\n| {} |", row[0].mutant);
        for cell in row {
            let _ = match cell.colour {
                Colour::Green => write!(table, " {} |", cell.words()),
                Colour::Red => write!(table, " **{}** |", cell.words()),
            };
        }
    }
    table + "\n"
}

impl Cell {
    /// `holds`, or what was noticed first.
    fn words(&self) -> String {
        match self.colour {
            Colour::Green => "holds".into(),
            Colour::Red => self.noticed.first().cloned().unwrap_or_else(|| "red".into()),
        }
    }
}
