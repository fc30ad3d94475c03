use std::process::ExitCode;

use loadtest::{
    record::{Run, faults},
    verdict::Verdict,
};

/// The exit codes.
///
/// They are in order of weight, the least first. Of several runs, and of several problems of one run, the greatest counts. A missed
/// threshold outweighs an invalid run, because the user has asked for it. A broken promise outweighs both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    AsPromised,
    Invalid,
    ThresholdMissed,
    PromiseBroken,
    SetUp,
    /// By the signal of this number.
    Interrupted(i32),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl Exit {
    /// The exit code of the process.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::AsPromised => 0,
            Exit::ThresholdMissed => 1,
            Exit::PromiseBroken => 2,
            Exit::Invalid => 3,
            Exit::SetUp => 4,
            Exit::Interrupted(signal) => 128 + signal as u8,
        }
    }

    /// The exit code of a run.
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
