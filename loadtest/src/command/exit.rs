use std::process::ExitCode;

use loadtest::{
    record::{Run, faults},
    verdict::Verdict,
};

/// How a program of ours ends.
///
/// In order of weight: of several runs, a broken promise counts more than an invalid run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    AsPromised,
    Invalid,
    PromiseBroken,
    SetUp,
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::AsPromised => 0,
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
        match run.verdict {
            Verdict::AsPromised | Verdict::Measured => Exit::AsPromised,
            Verdict::NotAsPromised => Exit::PromiseBroken,
            Verdict::Invalid(_) => Exit::Invalid,
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
