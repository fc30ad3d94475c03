//! The table of what holds and what breaks: a row per version, a column per scenario.

use std::fmt::Write;

use anstream::println;
use anstyle::{AnsiColor, Style};

use crate::{
    record::{Record, Run},
    scenario::{SCENARIOS, plan::Plan},
    verdict::{Verdict, promise::Promise},
    version::VERSIONS,
};

/// What came out of one version in one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// `holds`, or how it broke.
    pub word: String,
    /// The figure behind the word.
    pub figure: String,
    /// Whether it held.
    pub held: bool,
    /// How that is to be judged.
    pub verdict: Verdict,
}

impl Cell {
    /// Whether the version had promised otherwise.
    pub fn is_wrong(&self) -> bool {
        self.verdict == Verdict::NotAsPromised
    }

    fn color(&self) -> AnsiColor {
        match (&self.verdict, self.held) {
            (Verdict::Invalid(_), _) => AnsiColor::Yellow,
            (_, true) => AnsiColor::Green,
            (_, false) => AnsiColor::Red,
        }
    }
}

/// A version and what came out of it, column by column; nothing where nothing was played.
pub type Row = (&'static str, [Option<Cell>; SCENARIOS.len()]);

/// Every cell that a version has a gate for, in the order in which they are played. A quick matrix has smaller crowds.
pub fn plans(quick: bool) -> Vec<Plan> {
    let cells = VERSIONS.into_iter().flat_map(|version| SCENARIOS.map(|scenario| (version, scenario)));
    let has_gate =
        |&(version, scenario): &(_, _)| crate::verdict::promise::of_version(version, scenario) != Promise::NoGate;
    cells
        .filter(has_gate)
        .map(|(version, scenario)| {
            let plan = Plan::new(version, None, scenario);
            if quick { scenario.rules().quick(plan) } else { plan }
        })
        .collect()
}

/// The rows of those versions of which the record has a run.
pub fn rows(record: &Record) -> Vec<Row> {
    let rows = VERSIONS.map(|version| {
        let cells = SCENARIOS.map(|scenario| record.run_of(version, scenario).map(cell));
        (version.name(), cells)
    });
    rows.into_iter().filter(|(_, cells)| cells.iter().any(Option::is_some)).collect()
}

/// Whether the record has more than one column, so that a table of them says something.
pub fn is_one(record: &Record) -> bool {
    let rows = rows(record);
    let played = |column: usize| rows.iter().any(|(_, cells)| cells[column].is_some());
    (0..SCENARIOS.len()).filter(|&column| played(column)).count() > 2
}

fn cell(run: &Run) -> Cell {
    let held = !run.is_broken();
    let says_how = ![Promise::Holds, Promise::MayBreak].contains(&run.promised);
    let word = match (held, says_how) {
        _ if run.verdict.invalid().is_some() => "invalid",
        (true, _) => "holds",
        (false, true) => run.promised.word(),
        (false, false) => "breaks",
    };
    Cell { word: word.into(), figure: run.figure(), held, verdict: run.verdict.clone() }
}

/// Prints it: green for what held, red for what broke, yellow for a run that says nothing; and in words what was not promised.
pub fn print(record: &Record) {
    let bold = Style::new().bold();
    let columns: String = SCENARIOS.iter().map(|scenario| format!("{scenario:<17}")).collect();
    println!("{bold}{:<16}{columns}{bold:#}", "");
    for (version, cells) in rows(record) {
        for line in 0..3 {
            let mut text = format!("{:<16}", if line == 0 { version } else { "" });
            for cell in &cells {
                let Some(cell) = cell else {
                    let _ = write!(text, "{:<17}", if line == 0 { "–" } else { "" });
                    continue;
                };
                let style = AnsiColor::on_default(cell.color());
                let style = if line == 0 { style.bold() } else { style };
                let words = match line {
                    0 => &cell.word,
                    1 => &cell.figure,
                    _ if cell.is_wrong() => "NOT AS PROMISED",
                    _ => "",
                };
                let _ = write!(text, "{style}{words:<17}{style:#}");
            }
            if line < 2 || cells.iter().flatten().any(Cell::is_wrong) {
                println!("{text}");
            }
        }
    }
    for (run, reason) in record.runs.iter().filter_map(|run| Some((run, run.verdict.invalid()?))) {
        println!("invalid: {}: {reason}. It says nothing about the version; run it again.", run.title());
    }
}

/// The same for a README.
pub fn markdown(record: &Record) -> String {
    let mut table = String::from("| |");
    SCENARIOS.iter().for_each(|scenario| table += &format!(" {scenario} |"));
    table += "\n|---|";
    SCENARIOS.iter().for_each(|_| table += "---|");
    table += "\n";
    for (version, cells) in rows(record) {
        let _ = write!(table, "| {version} |");
        for cell in &cells {
            match cell {
                None => table += " – |",
                Some(Cell { figure, verdict: Verdict::Invalid(_), .. }) => table += &format!(" *invalid*: {figure} |"),
                Some(Cell { word, figure, held: true, .. }) => table += &format!(" {word}: {figure} |"),
                Some(Cell { word, figure, .. }) => table += &format!(" **{word}**: {figure} |"),
            }
        }
        table += "\n";
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_cell_is_played_but_those_without_a_gate() {
        for quick in [false, true] {
            let plans = plans(quick);
            assert_eq!(plans.len(), 6 * 9 - 4);
            let forgers: Vec<_> = plans.iter().filter(|plan| plan.scenario == Scenario::Forger).collect();
            assert_eq!(
                forgers.iter().map(|plan| plan.version.name()).collect::<Vec<_>>(),
                ["v5-hidden-api", "v6-production"]
            );
            let mut offices = plans.iter().filter(|plan| plan.scenario == Scenario::Office);
            assert!(offices.all(|plan| (plan.buyers, plan.stock) == (50, 100)), "as many as the promise is about");
            let crowds = plans.iter().filter(|plan| plan.scenario.is_a_crowd());
            assert!(
                crowds.into_iter().all(|plan| plan.buyers as i64 > 10 * plan.stock),
                "more want one than can have one"
            );
        }
    }
}
