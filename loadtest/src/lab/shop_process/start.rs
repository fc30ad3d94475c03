//! The command of a shop, and how it is started.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Error, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    runtime::Handle,
    time::timeout,
};

use super::TO_STOP;
use crate::{
    lab::{faketime, machines::Machine},
    version::Version,
};

/// How long a shop may take until it listens, if its servers run.
const TO_START: Duration = Duration::from_secs(60);
/// Environment variables that a shop inherits.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "TMPDIR", "LANG", "RUST_LOG", "RUST_BACKTRACE"];

/// How the process is started.
pub(in crate::lab) struct Start {
    pub(super) loadtest: PathBuf,
    pub(super) name: &'static str,
    pub(super) args: Vec<String>,
    pub(super) log: PathBuf,
    /// Whether SIGKILL ends it at once. nginx has a parent process that has to stop it, so that one is ended by closing its
    /// standard input.
    pub(super) kill_on_drop: bool,
    /// How wrong its clock is, in `faketime`'s notation; `None` if the clock is right.
    pub(super) clock: Option<&'static str>,
    /// How long it may take until it listens.
    pub(super) within: Duration,
    /// The machine that it runs on; `None` for this one.
    pub(super) machine: Option<Arc<Machine>>,
}

impl Start {
    pub(in crate::lab) fn new(loadtest: &Path, name: &'static str, args: Vec<String>, log: PathBuf) -> Start {
        Start {
            loadtest: loadtest.into(),
            name,
            args,
            log,
            kill_on_drop: true,
            clock: None,
            within: TO_START,
            machine: None,
        }
    }

    pub(super) fn serve(loadtest: &Path, version: Version, args: &[String], log: PathBuf) -> Start {
        let serve = ["serve", "--while-stdin-is-open", version.name()].map(str::to_owned);
        Start::new(loadtest, version.name(), serve.into_iter().chain(args.iter().cloned()).collect(), log)
    }

    /// Marks it as a process that is ended by closing its standard input, not by SIGKILL.
    pub(in crate::lab) fn and_let_it_end_itself(self) -> Start {
        Start { kill_on_drop: false, ..self }
    }

    /// The command to run, with `faketime` if the clock is wrong. The monotonic clock stays right.
    fn program(&self) -> Command {
        let Some(by) = self.clock else { return Command::new(&self.loadtest) };
        faketime::remove_leftovers();
        let mut program = Command::new("faketime");
        program.args(["-f", by]).arg(&self.loadtest);
        program
    }

    /// Starts it and waits until it listens at the address.
    pub(super) async fn at(&self, address: SocketAddr) -> anyhow::Result<Child> {
        let Start { loadtest, args, log, kill_on_drop, .. } = self;
        let mut program = self.program();
        program
            .args(args)
            .args(["--listen", &address.to_string()])
            .env_clear() // A `RETRIES` in the user's shell must not change a run, because the run does not record it.
            .envs(std::env::vars_os().filter(|(key, _)| PASSED_ON.iter().any(|passed| key == passed)))
            .envs(self.clock.map(|_| ("FAKETIME_DONT_FAKE_MONOTONIC", "1")))
            .process_group(0) // Ctrl-C must not reach the shop: it stops when its standard input closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(*kill_on_drop);
        let child = match &self.machine {
            Some(machine) => {
                let runtime = Handle::current();
                machine.inside(|| {
                    let _runtime = runtime.enter();
                    Ok(program.spawn()?)
                })
            }
            None => program.spawn().map_err(Error::from),
        };
        let mut child = child.with_context(|| format!("cannot start {}", loadtest.display()))?;
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().context("the shop has no output")?);
        let said = timeout(self.within, out.read_line(&mut line)).await;
        if said.is_ok() && line.trim().strip_prefix("listening on http://") == Some(&address.to_string()) {
            return Ok(child);
        }
        // It has ended, or is about to. Until then it may hold the port.
        drop(child.stdin.take());
        let ended = timeout(TO_STOP, child.wait()).await.ok().and_then(Result::ok);
        bail!(self.does_not_start(address, ended.filter(|_| said.is_ok())))
    }

    /// Why it did not start: the address, its exit status, and the last line of its log.
    fn does_not_start(&self, address: SocketAddr, ended: Option<ExitStatus>) -> String {
        let end = ended.map_or(format!("no answer within {} s", self.within.as_secs()), |status| status.to_string());
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("its log is empty").trim_start_matches("error: ");
        format!("{} does not start at {address} ({end}): {last}", self.name)
    }
}
