//! Summarises the rounds of a version, and compares two files of rounds.
//!
//! `figure` names the figures that are compared. `spread` is their median and range over the rounds. `bootstrap` is the ratio of two
//! medians with its confidence interval. `conditions` checks that two files were measured under the same conditions.

mod bootstrap;
mod conditions;
mod figure;
pub(crate) mod spread;

pub use self::{
    bootstrap::{Ratio, ratio},
    conditions::differences,
    figure::{FIGURES, Figure},
    spread::Spread,
};
use crate::record::Run;

/// The rounds of one version, variant and scenario.
pub struct Rounds<'a> {
    /// At least one, in the order in which they were played.
    pub all: Vec<&'a Run>,
}

impl<'a> Rounds<'a> {
    /// All rounds of these runs, in the order in which they were first played.
    pub fn of(runs: &'a [Run]) -> Vec<Rounds<'a>> {
        let mut all: Vec<Rounds> = Vec::new();
        for run in runs {
            match all.iter_mut().find(|rounds| rounds.are_like(run)) {
                Some(rounds) => rounds.all.push(run),
                None => all.push(Rounds { all: vec![run] }),
            }
        }
        all
    }

    /// The version, with its variant and scenario.
    pub fn title(&self) -> String {
        self.all[0].title()
    }

    /// The number of valid rounds. Invalid rounds are left out of all figures.
    pub fn valid(&self) -> usize {
        self.all.iter().filter(|run| run.verdict.invalid().is_none()).count()
    }

    /// The values of a figure, from each valid round that has it.
    pub fn values(&self, figure: Figure) -> Vec<f64> {
        let valid = self.all.iter().filter(|run| run.verdict.invalid().is_none());
        valid.filter_map(|run| figure.of(run)).collect()
    }

    fn are_like(&self, run: &Run) -> bool {
        let what = |run: &Run| (run.version, run.variant, run.scenario);
        what(self.all[0]) == what(run)
    }
}

/// The rounds of each version, variant and scenario that both lists have, in the order of the first list.
pub fn pairs<'a>(a: &'a [Run], b: &'a [Run]) -> Vec<(Rounds<'a>, Rounds<'a>)> {
    let mut b = Rounds::of(b);
    let partner = |a: Rounds<'a>| {
        let index = b.iter().position(|rounds| rounds.are_like(a.all[0]))?;
        Some((a, b.swap_remove(index)))
    };
    Rounds::of(a).into_iter().filter_map(partner).collect()
}
