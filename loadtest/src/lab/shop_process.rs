//! The shop under test, as a child process: its processor time and open files are its own, and it can be killed.

mod start;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Child, time::timeout};

pub(super) use self::start::Start;
use super::{
    machines::Machine,
    servers::port::{ATTEMPTS, Port},
};
use crate::{gates::Gate, museum::name::WrongShop, mutant::name::Mutant, version::Version};

/// How long a shop may take to stop.
const TO_STOP: Duration = Duration::from_secs(15);

/// A running instance of the shop, or nginx. It is stopped when dropped.
pub struct ShopProcess {
    /// The address at which it listens.
    pub address: SocketAddr,
    child: Child,
    start: Start,
    /// Its port, claimed also while the process is dead.
    _port: Port,
}

impl ShopProcess {
    /// Starts `loadtest serve VERSION ARGS` and waits until it listens. Its log goes to `log`.
    ///
    /// # Errors
    /// It does not start. The message has the last line of its log.
    pub async fn start(loadtest: &Path, version: Version, args: &[String], log: PathBuf) -> anyhow::Result<Self> {
        ShopProcess::run(Start::serve(loadtest, version, args, log)).await
    }

    /// As [`ShopProcess::start`], for a shop whose servers are started while it waits for them. They have `within` for it.
    ///
    /// # Errors
    /// As for [`ShopProcess::start`].
    pub async fn start_within(
        within: Duration,
        loadtest: &Path,
        version: Version,
        args: &[String],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        ShopProcess::run(Start { within, ..Start::serve(loadtest, version, args, log) }).await
    }

    /// As [`ShopProcess::start`], on one of three machines.
    ///
    /// # Errors
    /// As for [`ShopProcess::start`].
    pub async fn start_on(
        machine: Arc<Machine>,
        loadtest: &Path,
        version: Version,
        args: &[String],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        ShopProcess::run(Start { machine: Some(machine), ..Start::serve(loadtest, version, args, log) }).await
    }

    /// Starts a mutant: a shop with one seeded bug.
    ///
    /// # Errors
    /// As for [`ShopProcess::start`].
    pub async fn mutant(loadtest: &Path, mutant: Mutant, args: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let start = ["mutant".into(), "--while-stdin-is-open".into(), mutant.to_string()];
        let args = start.into_iter().chain(args.iter().cloned()).collect();
        ShopProcess::run(Start::new(loadtest, "mutant", args, log)).await
    }

    /// Starts an exhibit of the museum: a shop with one real mistake.
    ///
    /// # Errors
    /// As for [`ShopProcess::start`].
    pub async fn exhibit(loadtest: &Path, exhibit: WrongShop, args: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let start = ["exhibit".into(), "--while-stdin-is-open".into(), exhibit.to_string()];
        let args = start.into_iter().chain(args.iter().cloned()).collect();
        ShopProcess::run(Start::new(loadtest, "exhibit", args, log)).await
    }

    /// Starts a version that is put together without these gates.
    ///
    /// # Errors
    /// As for [`ShopProcess::start`].
    pub async fn without(
        loadtest: &Path,
        version: Version,
        gates: &[Gate],
        args: &[String],
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let without = gates.iter().flat_map(|gate| ["--without".to_owned(), gate.to_string()]);
        let start = ["gates".to_owned(), "--while-stdin-is-open".into()].into_iter().chain(without);
        let args = start.chain([version.to_string()]).chain(args.iter().cloned()).collect();
        ShopProcess::run(Start::new(loadtest, version.name(), args, log)).await
    }

    /// Starts the shop that does nothing, or the bare server that it is checked against.
    ///
    /// # Errors
    /// As for [`ShopProcess::start`].
    pub async fn no_op(loadtest: &Path, is_bare: bool, log: PathBuf) -> anyhow::Result<Self> {
        let args = ["no-op", "--while-stdin-is-open"].into_iter().chain(is_bare.then_some("--bare"));
        ShopProcess::run(Start::new(loadtest, "no-op", args.map(str::to_owned).collect(), log)).await
    }

    /// Starts it on a claimed port. If another program takes that port in between, tries other ports.
    pub(super) async fn run(start: Start) -> anyhow::Result<Self> {
        for attempt in 1.. {
            let port = Port::take()?;
            let ip = start.machine.as_ref().map_or(Ipv4Addr::LOCALHOST, |machine| machine.ip());
            let address = SocketAddr::from((ip, port.number()));
            match start.at(address).await {
                Ok(child) => return Ok(ShopProcess { address, child, start, _port: port }),
                Err(_) if attempt < ATTEMPTS && port.is_taken() => {}
                Err(why) => return Err(why),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Kills it (SIGKILL) and restarts it at the same address.
    ///
    /// # Errors
    /// It cannot be killed, or it does not restart.
    pub async fn kill_and_start_again(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.start_again().await
    }

    /// Kills it (SIGKILL).
    ///
    /// # Errors
    /// The system refuses the signal.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Its process id; `None` if it has ended.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// From its next start on, its clock is wrong by this offset, for example `+10m`.
    pub fn set_clock(&mut self, by: &'static str) {
        self.start.clock = Some(by);
    }

    /// Freezes it (SIGSTOP), as if its machine had stopped: its connections stay open, and it does nothing.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Resumes it after a freeze (SIGCONT).
    ///
    /// # Errors
    /// It has ended.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().context("the shop has ended")?;
        Ok(kill(Pid::from_raw(pid as i32), signal)?)
    }

    /// Starts a graceful stop, as SIGTERM does; returns at once.
    pub fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it has ended after it was [asked](ShopProcess::ask_to_stop) to. If it does not end, kills it, except nginx.
    pub async fn wait(&mut self) {
        if timeout(TO_STOP, self.child.wait()).await.is_err() && self.start.kill_on_drop {
            let _ = self.child.kill().await;
        }
    }

    /// Waits until it has ended, then restarts it at the same address.
    ///
    /// # Errors
    /// It does not restart.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        if timeout(TO_STOP, self.child.wait()).await.is_err() {
            self.kill().await?;
        }
        self.child = self.start.at(self.address).await?;
        Ok(())
    }

    /// Stops it gracefully: it finishes the requests that it has.
    pub async fn stop(mut self) {
        self.ask_to_stop();
        self.wait().await;
    }
}

#[cfg(test)]
mod tests;
