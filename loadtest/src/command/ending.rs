use std::{io, pin::pin};

use loadtest::buyer::ending::Ending;
use nix::libc::SIGHUP;
use v1_naive::shop::StopSignals;

use super::{exit::Exit, print::note, terminal};

/// Said at the first Ctrl-C.
const ENDS: &str = "ending the run; the report follows with what there is. Ctrl-C again ends at once.";

/// Said if the user ends a run so early that there is nothing to report.
const NOTHING: &str = "ended by the user before a buyer came: there is nothing to report";

/// Says that the user has ended a run so early that there is nothing to report.
pub(crate) fn say_nothing_to_report() {
    note(NOTHING);
}

/// Ctrl-C, SIGTERM and SIGHUP, each time they come.
pub(crate) struct Interrupts(StopSignals);

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Interrupts> {
        StopSignals::listen().map(Interrupts)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) -> Exit {
        Exit::Interrupted(self.0.next().await)
    }

    /// Waits for the next one that a person sends. A terminal that is closed sends SIGHUP twice: the shell does, and the system.
    async fn next_but_hang_up(&mut self) -> Exit {
        loop {
            match self.0.next().await {
                SIGHUP => {}
                signal => return Exit::Interrupted(signal),
            }
        }
    }

    /// Works until done. The first interrupt requests the end of the run, so that it is audited and reported with what it has. The
    /// second one ends the work at once.
    pub(crate) async fn end(
        &mut self,
        ending: &Ending,
        work: impl Future<Output = anyhow::Result<Exit>>,
    ) -> anyhow::Result<Exit> {
        let mut work = pin!(work);
        let interrupted = tokio::select! {
            done = &mut work => return done,
            interrupted = self.next() => interrupted,
        };
        if !terminal::is_shown() {
            note(ENDS); // the live screen says it by itself
        }
        ending.request();
        tokio::select! {
            done = work => done.map(|exit| exit.max(interrupted)),
            interrupted = self.next_but_hang_up() => Ok(interrupted),
        }
    }
}
