use std::{
    future::pending,
    io::{self, Write},
    pin::pin,
};

use loadtest::buyer::{ending::Ending, progress::Counts};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{exit::Exit, live};

/// Said at the first Ctrl-C.
const ENDS: &str = "ending the run; the report follows with what there is. Ctrl-C again ends at once.";

/// Said if the user ends a run so early that there is nothing to report.
const NOTHING: &str = "ended by the user before a buyer came: there is nothing to report";

/// Says that the user has ended a run so early that there is nothing to report.
pub(crate) fn say_nothing_to_report() {
    say(NOTHING);
}

/// Prints a line to standard error. Whoever reads it may have ended before, and that must not stop the report.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Ctrl-C and SIGTERM, each time they come.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    pub(crate) fn listen() -> io::Result<Interrupts> {
        Ok(Interrupts { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
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
        tokio::select! {
            done = &mut work => return done,
            () = self.next() => {}
        }
        if !live::is_shown() {
            say(ENDS); // the live screen says it by itself
        }
        ending.request();
        tokio::select! {
            done = work => done.map(|exit| exit.max(Exit::Interrupted)),
            () = self.next() => Ok(Exit::Interrupted),
        }
    }
}

/// The result of a run; `None` if the user has ended it while there was nothing to report yet.
pub(crate) async fn unless_ended<T>(
    progress: &Counts,
    run: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<Option<T>> {
    let ended_before = async {
        progress.ending.requested().await;
        if progress.began_at().is_some() {
            pending::<()>().await; // the run ends by itself
        }
    };
    tokio::select! {
        biased;
        run = run => run.map(Some),
        () = ended_before => Ok(None),
    }
}
