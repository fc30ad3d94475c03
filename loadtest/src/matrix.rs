//! The matrix of what holds and what breaks: a row per version, a column per scenario.

use crate::{
    record::{Record, Run},
    scenario::{SCENARIOS, Scenario, plan::Plan},
    verdict::{Verdict, promise::Promise},
    version::{VERSIONS, Version},
};

/// The result of one version in one scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// `holds`, or how it broke, in a word.
    pub word: String,
    /// The figure behind that word.
    pub figure: String,
    /// Whether the version held.
    pub held: bool,
    /// The verdict on the result.
    pub verdict: Verdict,
}

impl Cell {
    /// Whether the result contradicts the version's promise.
    pub fn is_wrong(&self) -> bool {
        self.verdict == Verdict::NotAsPromised
    }
}

/// A version and its result in each column; `None` where nothing was played.
pub type Row = (&'static str, [Option<Cell>; SCENARIOS.len()]);

/// The plans of all cells in which the version has the gate that is attacked, in the order in which they are played. A quick
/// matrix has smaller crowds.
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

/// The rows of all versions that have a run in the record.
pub fn rows(record: &Record) -> Vec<Row> {
    let rows = VERSIONS.map(|version| {
        let cells = SCENARIOS.map(|scenario| worst_of(record, version, scenario).map(cell));
        (version.name(), cells)
    });
    rows.into_iter().filter(|(_, cells)| cells.iter().any(Option::is_some)).collect()
}

/// Whether the record has more than one column, so that a table is useful.
pub fn is_one(record: &Record) -> bool {
    let rows = rows(record);
    let played = |column: usize| rows.iter().any(|(_, cells)| cells[column].is_some());
    (0..SCENARIOS.len()).filter(|&column| played(column)).count() > 2
}

/// Of the rounds of a cell, the first of those that went most wrong.
fn worst_of(record: &Record, version: Version, scenario: Scenario) -> Option<&Run> {
    let is_cell =
        |run: &&Run| run.version == version && run.variant.is_none() && run.url.is_none() && run.scenario == scenario;
    let wrong = |run: &&Run| (run.verdict == Verdict::NotAsPromised, run.verdict.invalid().is_some());
    record.runs.iter().filter(is_cell).rev().max_by_key(wrong)
}

fn cell(run: &Run) -> Cell {
    let held = !run.is_broken();
    Cell { word: run.word(), figure: run.figure(), held, verdict: run.verdict.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(
                offices.all(|plan| (plan.buyers, plan.stock) == (50, 100)),
                "the numbers that the promise is about"
            );
            let crowds = plans.iter().filter(|plan| plan.scenario.is_a_crowd());
            assert!(crowds.into_iter().all(|plan| plan.buyers as i64 > 10 * plan.stock), "more buyers than units");
        }
    }
}
