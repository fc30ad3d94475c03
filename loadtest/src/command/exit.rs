use std::process::ExitCode;

use loadtest::{
    record::{Run, faults},
    verdict::Verdict,
};

/// How a program of ours ends.
///
/// In order of weight, the least first: of several runs, and of all that is wrong with one, the greatest counts. A missed threshold
/// counts more than an invalid run, because whoever sets one wants to know. A broken promise counts more than both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    AsPromised,
    Invalid,
    ThresholdMissed,
    PromiseBroken,
    SetUp,
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::AsPromised => 0,
            Exit::ThresholdMissed => 1,
            Exit::PromiseBroken => 2,
            Exit::Invalid => 3,
            Exit::SetUp => 4,
            Exit::Interrupted => 130,
        })
    }
}

impl Exit {
    /// Of a run; the worst of several is the greatest.
    pub(crate) fn of(run: &Run) -> Exit {
        let judged = match run.verdict {
            Verdict::AsPromised | Verdict::Measured => Exit::AsPromised,
            Verdict::NotAsPromised => Exit::PromiseBroken,
            Verdict::Invalid(_) => Exit::Invalid,
        };
        judged.max(if run.missed_threshold() { Exit::ThresholdMissed } else { Exit::AsPromised })
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
