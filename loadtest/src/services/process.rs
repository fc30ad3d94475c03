use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use url::Url;

use super::tree;

/// How long a server may take until it answers; RabbitMQ on a machine with other things to do takes half of it.
const TO_START: Duration = Duration::from_secs(60);
/// How long it may take to stop before it is killed.
const TO_STOP: Duration = Duration::from_secs(10);

/// A server that can be started, killed, and started again; stopped when dropped.
pub(super) struct Process {
    /// Where it listens.
    pub(super) url: Url,
    name: &'static str,
    command: Command,
    /// Connects to it and asks something; an error if it is not up yet.
    ask: fn(&Url) -> io::Result<bool>,
    /// Where it keeps its data and its log.
    folder: PathBuf,
    child: Option<Child>,
    /// What asks it to end; SIGTERM, if not told otherwise.
    pub(super) gentle: Signal,
    /// What it needs to run, stopped after it.
    pub(super) needs: Option<Box<Process>>,
}

impl Process {
    /// Starts `command`, which writes to a log in `folder`, and waits until it answers.
    pub(super) fn start(
        name: &'static str,
        mut command: Command,
        url: Url,
        ask: fn(&Url) -> io::Result<bool>,
        folder: &Path,
    ) -> anyhow::Result<Process> {
        let file = File::create(folder.join("log"))?;
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let (folder, child, gentle) = (folder.to_owned(), None, Signal::SIGTERM);
        let mut process = Process { url, name, command, ask, folder, child, gentle, needs: None };
        process.start_again()?;
        Ok(process)
    }

    /// Starts it and waits until it answers.
    pub(super) fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} is running", self.name);
        let child = self.child.insert(self.command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        let deadline = Instant::now() + TO_START;
        loop {
            let answers = (self.ask)(&self.url).unwrap_or(false);
            let ended = child.try_wait()?; // Looked at second: the answer may be of somebody else who has taken the port.
            if answers && ended.is_none() {
                return Ok(());
            }
            if ended.is_some() || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let last = log.lines().map(str::trim).rfind(|line| !line.is_empty());
                self.kill()?;
                bail!("{} does not start: {}", self.name, last.unwrap_or("it says nothing"));
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends it and its children without a warning.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} is not running", self.name))?;
        if child.try_wait()?.is_none() {
            tree::kill_all(pid(&child));
            child.wait()?;
        }
        Ok(())
    }

    /// The folder with its data, which nobody writes to now.
    pub(super) fn folder_at_rest(&self) -> anyhow::Result<&Path> {
        ensure!(self.child.is_none(), "{} is running", self.name);
        Ok(&self.folder)
    }

    /// A program that is to talk to it: in its folder, as its user, with its environment.
    pub(super) fn companion(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env_clear();
        command.envs(self.command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command
    }

    /// Asks it to end; returns at once.
    pub(super) fn ask_to_end(&self) {
        if let Some(child) = &self.child {
            let _ = kill(pid(child), self.gentle);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
        let deadline = Instant::now() + TO_STOP;
        while let Some(child) = &mut self.child
            && Instant::now() < deadline
        {
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            sleep(Duration::from_millis(10));
        }
        let _ = self.kill();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// A port that nobody uses, below those that the system gives to clients: while its server is dead, no client's
/// connection can come to sit on it.
pub(super) fn free_port() -> anyhow::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let found = std::iter::repeat_with(|| fastrand::u16(12_000..32_000)).take(1000).find(is_free);
    found.context("no port is free")
}

/// Letters and digits, which nobody has to quote.
pub(super) fn password() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(32).collect()
}

/// Connects to the server, and gives up on it sooner or later.
pub(super) fn connect(url: &Url) -> io::Result<TcpStream> {
    let port = url.port().ok_or(io::ErrorKind::InvalidInput)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// A folder that nobody else may look into.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// A file that nobody else may read, for a password.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}
