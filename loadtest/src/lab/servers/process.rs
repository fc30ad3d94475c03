//! A server's process, whichever it is.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    net::{Ipv4Addr, TcpStream},
    os::unix::{
        fs::{DirBuilderExt, OpenOptionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use url::Url;

use super::{
    port::{ATTEMPTS, Port},
    tree,
};

/// How long a server may take until it answers; RabbitMQ on a busy machine takes up to a minute.
const TO_START: Duration = Duration::from_secs(120);
/// How long it may take to stop before it is killed.
const TO_STOP: Duration = Duration::from_secs(10);

/// A server that can be started, killed, and started again; stopped when dropped.
pub(super) struct Process {
    /// Where it listens.
    pub(super) url: Url,
    /// Its own, also while it is dead; empty if somebody else has chosen the address.
    ports: Vec<Port>,
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
    /// Starts the command that `launch` makes for `N` ports, and waits until it answers at the URL that comes with the command.
    /// If a stranger takes one of the ports in between, it starts the command for other ports. The log is in `folder`.
    pub(super) fn start<const N: usize>(
        name: &'static str,
        ask: fn(&Url) -> io::Result<bool>,
        folder: &Path,
        launch: impl Fn([u16; N]) -> anyhow::Result<(Command, Url)>,
    ) -> anyhow::Result<Process> {
        for attempt in 1.. {
            let ports = Port::take_all::<N>()?;
            let (mut command, url) = launch(ports.each_ref().map(Port::number))?;
            let log = File::create(folder.join("log"))?;
            command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let (folder, child, gentle) = (folder.to_owned(), None, Signal::SIGTERM);
            let ports = ports.into();
            let mut process = Process { url, ports, name, command, ask, folder, child, gentle, needs: None };
            match process.start_again() {
                Ok(()) => return Ok(process),
                Err(_) if attempt < ATTEMPTS && process.ports.iter().any(Port::is_taken) => {}
                Err(why) => return Err(why),
            }
        }
        unreachable!("the last attempt returns")
    }

    /// Starts it on the ports that it has, and waits until it answers.
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
                self.kill()?;
                bail!(self.does_not_start(ended));
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// All that is known of why: where, how it ended, who else listens there, and the last line of its log.
    fn does_not_start(&self, ended: Option<ExitStatus>) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        let end = ended.map_or(format!("no answer within {} s", TO_START.as_secs()), |status| status.to_string());
        let taken = self.ports.iter().find(|port| port.is_taken());
        let taken = taken.map(|port| format!("port {} is taken; ", port.number())).unwrap_or_default();
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let last = log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("its log is empty");
        format!("{} does not start on port {port} ({end}): {taken}{last}", self.name)
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

    /// The folder with its data.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
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

/// A file that nobody else may read, for a password. An earlier one of this name, from a start on other ports, is replaced.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
