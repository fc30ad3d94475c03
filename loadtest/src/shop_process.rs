//! The shop under test: a child process of its own, so that its processor, its open files and its death are its own.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::version::Version;

/// What a shop may know of the environment.
const PASSED_ON: [&str; 6] = ["PATH", "HOME", "TMPDIR", "LANG", "RUST_LOG", "RUST_BACKTRACE"];

/// How long it may take to stop.
const TO_STOP: Duration = Duration::from_secs(15);

/// A running instance, or nginx; ends when dropped.
pub struct ShopProcess {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    start: Start,
}

/// What it was started with.
struct Start {
    loadtest: PathBuf,
    name: &'static str,
    args: Vec<String>,
    log: PathBuf,
    /// Killed without a warning, a shop is gone; nginx's keeper would leave nginx behind, and ends when its standard input does.
    kill_on_drop: bool,
}

impl ShopProcess {
    /// Starts `loadtest serve VERSION ARGS` and waits until it listens. Its log goes to `log`.
    ///
    /// # Errors
    /// It does not start; with the last line of its log.
    pub async fn start(loadtest: &Path, version: Version, args: &[String], log: PathBuf) -> anyhow::Result<Self> {
        let serve = ["serve", "--while-stdin-is-open", version.name()].map(str::to_owned);
        let args = serve.into_iter().chain(args.iter().cloned()).collect();
        ShopProcess::run(Start { loadtest: loadtest.into(), name: version.name(), args, log, kill_on_drop: true }).await
    }

    /// Starts nginx in front of instances, for the lab.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn nginx(loadtest: &Path, instances: &[SocketAddr], log: PathBuf) -> anyhow::Result<Self> {
        let nginx = ["nginx", "--while-stdin-is-open", "--as-lab"].map(str::to_owned);
        let args = nginx.into_iter().chain(instances.iter().map(SocketAddr::to_string)).collect();
        ShopProcess::run(Start { loadtest: loadtest.into(), name: "nginx", args, log, kill_on_drop: false }).await
    }

    async fn run(start: Start) -> anyhow::Result<Self> {
        let (child, address) = start.at("127.0.0.1:0").await?;
        Ok(ShopProcess { address, child, start })
    }

    /// Kills it without a warning and starts it again at the same address.
    ///
    /// # Errors
    /// It does not start.
    pub async fn kill_and_start_again(&mut self) -> anyhow::Result<()> {
        self.kill().await?;
        self.start_again().await
    }

    /// Kills it without a warning.
    ///
    /// # Errors
    /// The system's.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Stops it as if its machine had stopped (SIGSTOP): its connections stay open, and it does nothing.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets it go on where it was stopped (SIGCONT).
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

    /// Tells it to finish what it is doing and to end, as SIGTERM does; returns at once.
    pub fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits until it has ended, and starts it again at the same address.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        if timeout(TO_STOP, self.child.wait()).await.is_err() {
            self.kill().await?;
        }
        (self.child, _) = self.start.at(&self.address.to_string()).await?;
        Ok(())
    }

    /// Lets it finish what it is doing, and stops it.
    pub async fn stop(mut self) {
        self.ask_to_stop();
        let _ = timeout(TO_STOP, self.child.wait()).await;
    }
}

impl Start {
    async fn at(&self, listen: &str) -> anyhow::Result<(Child, SocketAddr)> {
        let Start { loadtest, name, args, log, kill_on_drop } = self;
        let mut child = Command::new(loadtest)
            .args(args)
            .args(["--listen", listen])
            .env_clear() // A RETRIES in somebody's shell must not decide a run that does not record it.
            .envs(std::env::vars_os().filter(|(key, _)| PASSED_ON.iter().any(|passed| key == passed)))
            .process_group(0) // Ctrl-C is for us; the shop goes when its standard input is closed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .kill_on_drop(*kill_on_drop)
            .spawn()
            .with_context(|| format!("cannot start {}", loadtest.display()))?;
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().context("the shop has no output")?);
        let said = timeout(Duration::from_secs(30), out.read_line(&mut line)).await;
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        match (said, address) {
            (Ok(_), Some(address)) => Ok((child, address)),
            (Ok(_), None) => {
                let log = fs::read_to_string(log).unwrap_or_default();
                let last = log.lines().last().unwrap_or("it says nothing");
                bail!("{name} does not start: {}", last.trim_start_matches("error: "))
            }
            (Err(_), _) => bail!("{name} does not start within 30 s"),
        }
    }
}
