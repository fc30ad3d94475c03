//! Checks an exercise: builds and runs its crate, or plays its schedule.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::{process::Command, time::timeout};

use super::{Check, folder::Folder};
use crate::{interleave::scheduler::Scheduler, lab::Lab};

/// The longest that a check runs, without its compilation. The slowest one takes a few seconds.
const LONGEST: Duration = Duration::from_secs(60);

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passes, and this is why.
    Passed(String),
    /// It does not pass; this is what was seen first.
    Failed(String),
    /// The reader's file does not compile: the compiler's first message.
    DoesNotCompile(String),
}

/// Checks one exercise, as often as wanted.
pub struct Checker {
    /// What plays a schedule; `None` for a program.
    scheduler: Option<Scheduler>,
}

impl Checker {
    /// Prepares the checks of this exercise. A schedule is played in this lab.
    ///
    /// # Errors
    /// A schedule without a lab on PostgreSQL.
    pub async fn new(folder: &Folder, lab: Option<&Lab>) -> anyhow::Result<Checker> {
        let scheduler = match (&folder.exercise.check, lab) {
            (Check::Program { .. }, _) => None,
            (Check::Schedule(goal), Some(lab)) => Some(Scheduler::build(lab, &goal.subject()).await?),
            (Check::Schedule(_), None) => bail!("a schedule is played in a lab"),
        };
        Ok(Checker { scheduler })
    }

    /// Checks the reader's file as it is now.
    ///
    /// # Errors
    /// The check itself does not work: there is no cargo, or the file cannot be read.
    pub async fn check(&self, folder: &Folder) -> anyhow::Result<Outcome> {
        match (&folder.exercise.check, &self.scheduler) {
            (Check::Schedule(goal), Some(scheduler)) => {
                let work = folder.work();
                let text = fs::read_to_string(&work).with_context(|| format!("cannot read {}", work.display()))?;
                Ok(goal.check(scheduler, &text).await)
            }
            (Check::Schedule(_), None) => bail!("a schedule is played in a lab"),
            (Check::Program { .. }, _) => program(&folder.path).await,
        }
    }

    /// Stops what was started for it.
    ///
    /// # Errors
    /// The database cannot be removed.
    pub async fn close(self, lab: Option<&Lab>) -> anyhow::Result<()> {
        match (self.scheduler, lab) {
            (Some(scheduler), Some(lab)) => scheduler.close(lab).await,
            _ => Ok(()),
        }
    }
}

/// Builds and runs a crate.
async fn program(folder: &Path) -> anyhow::Result<Outcome> {
    let built = build(folder).output().await.context("cargo cannot be started")?;
    let says = text(&built.stderr);
    if !built.status.success() {
        // An error elsewhere is not the reader's: for example, the disk is full.
        if !says.contains("--> src/") {
            bail!("the exercise cannot be built:\n{}", says.trim());
        }
        return Ok(Outcome::DoesNotCompile(first_error(&says)));
    }
    let mut check = Command::new(program_in(&text(&built.stdout)).context("cargo names no program")?);
    check.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    match timeout(LONGEST, check.output()).await {
        Ok(ran) => Ok(judge(&ran.context("the exercise cannot be started")?)),
        Err(_) => {
            Ok(Outcome::Failed(format!("the check does not end within {} s: is there a loop?", LONGEST.as_secs())))
        }
    }
}

fn judge(ran: &Output) -> Outcome {
    let line = text(&ran.stdout).trim().to_owned();
    match ran.status.code() {
        Some(0) => Outcome::Passed(line),
        Some(1) if !line.is_empty() => Outcome::Failed(line),
        _ => Outcome::Failed(panic(&text(&ran.stderr))),
    }
}

/// Builds an exercise in its folder, where Cargo finds its settings. It ends with this program. `cargo run` would wait for every
/// other build in the target folder, and that time is not the check's.
fn build(folder: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut cargo = Command::new(cargo);
    cargo.args(["build", "--quiet", "--profile", "quick", "--message-format", "json-render-diagnostics"]);
    cargo.current_dir(folder).env("CARGO_TERM_COLOR", "never");
    cargo.stdin(Stdio::null()).kill_on_drop(true);
    cargo
}

/// The program that Cargo has built, from its messages.
fn program_in(messages: &str) -> Option<PathBuf> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back()
}

/// The compiler's first error, with the lines that belong to it; the number of further ones, if there are any.
fn first_error(says: &str) -> String {
    let is_error = |line: &&str| line.starts_with("error") && !line.starts_with("error: could not compile");
    let errors = says.lines().filter(is_error).count();
    let block = says.lines().skip_while(|line| !is_error(line)).take_while(|line| !line.trim().is_empty());
    let block = block.collect::<Vec<_>>().join("\n");
    match errors {
        0 => says.trim().into(),
        1 => block,
        _ => format!("{block}\n(the first of {errors} errors)"),
    }
}

/// The place and the message of a panic, in one line.
fn panic(says: &str) -> String {
    let mut lines = says.lines().skip_while(|line| !line.contains("panicked at "));
    let place = lines.next().and_then(|line| line.split_once("panicked at ")).map_or("", |(_, place)| place);
    let message = lines.next().unwrap_or_default();
    match place {
        "" => format!("the program died: {}", says.trim()),
        _ => format!("it panics at {} {message}", place.trim_end_matches(':')).trim_end().into(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_shown_with_its_place() {
        let says = "warning: unused\n --> src/exercise.rs:1:1\n\nerror[E0308]: mismatched types\n --> src/exercise.rs:7:5\n  |\n7 |     0\n  |     ^ expected `bool`\n\nerror: expected `;`\n --> src/exercise.rs:9:5\n\nerror: could not compile `x` due to 2 previous errors\n";
        let shown = first_error(says);
        assert!(shown.starts_with("error[E0308]: mismatched types\n --> src/exercise.rs:7:5"), "{shown}");
        assert!(shown.ends_with("expected `bool`\n(the first of 2 errors)"), "{shown}");
        assert_eq!(first_error("no error at all"), "no error at all");
    }

    #[test]
    fn the_program_is_the_last_one_that_was_built() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n{\"executable\":\"/x/ack\"}\n{\"reason\":\"build-finished\"}\n";
        assert_eq!(program_in(messages), Some(PathBuf::from("/x/ack")));
        assert_eq!(program_in("warning: unused\n"), None);
    }

    #[test]
    fn a_panic_is_one_line() {
        let says =
            "\nthread 'main' (4) panicked at src/exercise.rs:9:5:\nattempt to subtract with overflow\nnote: run with\n";
        assert_eq!(panic(says), "it panics at src/exercise.rs:9:5 attempt to subtract with overflow");
        assert_eq!(panic("killed"), "the program died: killed");
    }
}
