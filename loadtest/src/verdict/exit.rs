//! The exit codes of the load test.

use std::process::ExitCode;

use super::Verdict;
use crate::{
    bench::goals::{GOALS, Reached, invalid},
    record::{Run, bench::Samples, faults},
};

/// The exit codes.
///
/// They are in order of weight, the least first. Of several runs, and of several problems of one run, the greatest counts. A missed
/// threshold outweighs an invalid run, because the user has asked for it. A broken promise outweighs both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// What was promised was kept.
    AsPromised,
    /// The run says nothing, for example because the machine was busy.
    Invalid,
    /// A threshold of the user, or a bar of the benchmark, was missed.
    ThresholdMissed,
    /// A promise was broken.
    PromiseBroken,
    /// Something that the command needs is missing or refused.
    SetUp,
    /// Interrupted by the signal of this number.
    Interrupted(i32),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Exit::AsPromised => 0,
            Exit::ThresholdMissed => 1,
            Exit::PromiseBroken => 2,
            Exit::Invalid => 3,
            Exit::SetUp => 4,
            Exit::Interrupted(signal) => 128 + signal as u8,
        }
    }

    /// The exit code of a verdict.
    pub fn of_verdict(verdict: &Verdict) -> Exit {
        match verdict {
            Verdict::AsPromised | Verdict::Measured => Exit::AsPromised,
            Verdict::NotAsPromised => Exit::PromiseBroken,
            Verdict::Invalid(_) => Exit::Invalid,
        }
    }

    /// The exit code of a run.
    pub fn of(run: &Run) -> Exit {
        Exit::of_verdict(&run.verdict).max(if run.missed_threshold() {
            Exit::ThresholdMissed
        } else {
            Exit::AsPromised
        })
    }
}

impl Exit {
    /// The exit code of a benchmark. A bar that is missed is a missed threshold, a sample that is not what its name says a broken
    /// promise.
    pub fn of_bench(samples: &Samples) -> Exit {
        let is_wrong = samples.bench.iter().any(|one| one.wrong.is_some());
        let is_missed = GOALS.iter().any(|goal| goal.reached(samples) == Reached::No);
        match (is_wrong, is_missed, invalid(samples)) {
            (true, ..) => Exit::PromiseBroken,
            (false, true, _) => Exit::ThresholdMissed,
            (false, false, Some(_)) => Exit::Invalid,
            (false, false, None) => Exit::AsPromised,
        }
    }
}

impl From<faults::Verdict> for Exit {
    fn from(verdict: faults::Verdict) -> Exit {
        match verdict {
            faults::Verdict::Clean => Exit::AsPromised,
            faults::Verdict::Broken => Exit::PromiseBroken,
            faults::Verdict::Invalid => Exit::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::CONNECTIONS,
        record::bench::{Sample, Subject},
        render::bench::notes,
    };

    /// The no-op at this share of bare hyper, and refusals at this share of the no-op.
    fn samples(no_op: f64, refuse: f64) -> Samples {
        let each = |connections| {
            [(Subject::BareHyper, 1.0), (Subject::NoOp, no_op), (Subject::Refuse, no_op * refuse)]
                .map(|(subject, rate)| Sample::new(1, subject, connections, rate * 1e5))
        };
        Samples { bench: CONNECTIONS.into_iter().flat_map(each).collect(), ..Samples::default() }
    }

    #[test]
    fn a_benchmark_is_worth_what_its_exit_code_says() {
        assert_eq!(Exit::of_bench(&samples(1.0, 0.9)), Exit::AsPromised);
        assert_eq!(Exit::of_bench(&samples(1.0, 0.5)), Exit::ThresholdMissed);
        for refuse in [0.5, 0.9] {
            assert_eq!(Exit::of_bench(&samples(0.8, refuse)), Exit::Invalid, "a slow no-op");
        }
        for (no_op, refuse) in [(1.0, 0.9), (1.0, 0.5), (0.8, 0.9)] {
            let mut samples = samples(no_op, refuse);
            let wrong = Some("sold out".into());
            samples.bench.push(Sample { wrong, ..Sample::new(1, Subject::Sell, 64, 0.0) });
            assert_eq!(Exit::of_bench(&samples), Exit::PromiseBroken);
            assert!(notes(&samples)[0].contains("wrong: sell on 64 connections: sold out"));
        }
    }
}
