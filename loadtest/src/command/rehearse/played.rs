//! The run behind a prediction: this program, started again with the command of the card.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use loadtest::rehearse::predict::{Figure, Predict};
use nix::{
    sys::signal::{
        Signal::{self, SIGINT, SIGKILL},
        kill,
    },
    unistd::Pid,
};
use tempfile::TempDir;

use crate::command::database::this_program;

/// The files of a run, in a folder of its own.
const FIGURES: &str = "figures.json";
const SAID: &str = "said";

/// The longest that a reader waits.
const LONGEST: Duration = Duration::from_secs(300);

/// A run that is being played. It ends when this is dropped.
pub(super) struct Played {
    predict: &'static Predict,
    child: Child,
    folder: TempDir,
    began: Instant,
}

impl Played {
    /// Starts the command. It is a process group of its own, because Ctrl-C is for this program, which then ends the run.
    pub(super) fn start(predict: &'static Predict) -> anyhow::Result<Played> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(this_program()?);
        command.args(&predict.command).args(["--json", FIGURES]).current_dir(folder.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(folder.path().join(SAID))?);
        Ok(Played { predict, child: command.spawn()?, folder, began: Instant::now() })
    }

    /// What it has shown, or why it has shown nothing; `None` as long as it is played.
    pub(super) fn ended(&mut self) -> Option<Result<Figure, String>> {
        match self.child.try_wait() {
            Ok(Some(status)) => Some(self.figure(status.code())),
            Ok(None) if self.began.elapsed() > LONGEST => Some(Err("the run took more than five minutes".into())),
            Ok(None) => None,
            Err(why) => Some(Err(why.to_string())),
        }
    }

    fn figure(&self, code: Option<i32>) -> Result<Figure, String> {
        match code {
            // As promised, a missed threshold, and a broken promise: each has figures.
            Some(0..=2) => {
                let read = || {
                    let text = fs::read_to_string(self.folder.path().join(FIGURES))?;
                    self.predict.figure(&serde_json::from_str(&text)?)
                };
                read().map_err(|why: anyhow::Error| format!("{why:#}"))
            }
            Some(3) => Err("the run was invalid, perhaps because this machine is busy; play it by hand".into()),
            Some(_) | None => {
                let said = fs::read_to_string(self.folder.path().join(SAID)).unwrap_or_default();
                let last = said.lines().last().unwrap_or("the run was killed");
                Err(last.trim_start_matches("error: ").to_owned())
            }
        }
    }

    /// Sends a signal, and waits for up to two seconds. Returns whether the run has ended.
    fn ends_after(&mut self, signal: Signal) -> bool {
        let is_alive = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        if is_alive(&mut self.child) {
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        }
        let until = Instant::now() + Duration::from_secs(2);
        while is_alive(&mut self.child) && Instant::now() < until {
            sleep(Duration::from_millis(20));
        }
        !is_alive(&mut self.child)
    }
}

impl Drop for Played {
    /// A first Ctrl-C would only end the run with a report, so it gets two.
    fn drop(&mut self) {
        for signal in [SIGINT, SIGINT, SIGKILL] {
            if self.ends_after(signal) {
                return;
            }
        }
        let _ = self.child.wait();
    }
}
