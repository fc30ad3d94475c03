//! The process of any private server.

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

/// How long a server may take until it answers. RabbitMQ on a busy machine takes up to a minute.
const TO_START: Duration = Duration::from_secs(120);
/// How long a server may take to stop before it is killed.
const TO_STOP: Duration = Duration::from_secs(10);

/// A server that can be started, killed and restarted. It is stopped when dropped.
pub(super) struct Process {
    /// The URL at which it listens.
    pub(super) url: Url,
    /// Its ports, claimed also while it is dead. Empty if the caller chose the address.
    ports: Vec<Port>,
    name: &'static str,
    command: Command,
    /// Sends a first request to the URL; an error or false if the server is not ready.
    ask: fn(&Url) -> io::Result<bool>,
    /// The folder of its data and its log.
    folder: PathBuf,
    child: Option<Child>,
    /// The signal that stops it gracefully; SIGTERM by default.
    pub(super) gentle: Signal,
    /// A process that it needs to run; stopped after it.
    pub(super) needs: Option<Box<Process>>,
}

impl Process {
    /// Runs the command that `launch` builds for `N` ports, and waits until the server answers at the returned URL. If another
    /// program takes one of the ports in between, tries new ports. The log is in `folder`.
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

    /// Starts it on its ports and waits until it answers.
    pub(super) fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "{} is running", self.name);
        let child = self.child.insert(self.command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        let deadline = Instant::now() + TO_START;
        loop {
            let answers = (self.ask)(&self.url).unwrap_or(false);
            let ended = child.try_wait()?; // Checked second: the answer may come from another program that has taken the port.
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

    /// Why it did not start: the port, its exit status, which port is taken, and the last line of its log.
    fn does_not_start(&self, ended: Option<ExitStatus>) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        let end = ended.map_or(format!("no answer within {} s", TO_START.as_secs()), |status| status.to_string());
        let taken = self.ports.iter().find(|port| port.is_taken());
        let taken = taken.map(|port| format!("port {} is taken; ", port.number())).unwrap_or_default();
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let last = log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("its log is empty");
        format!("{} does not start on port {port} ({end}): {taken}{last}", self.name)
    }

    /// Kills it and its children (SIGKILL).
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().with_context(|| format!("{} is not running", self.name))?;
        if child.try_wait()?.is_none() {
            tree::kill_all(pid(&child));
            child.wait()?;
        }
        Ok(())
    }

    /// Whether it was started and not killed.
    pub(super) fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// The folder of its data.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of its data, while the server does not run.
    pub(super) fn folder_at_rest(&self) -> anyhow::Result<&Path> {
        ensure!(self.child.is_none(), "{} is running", self.name);
        Ok(&self.folder)
    }

    /// A command for one of its tools: in its folder, as its user, with its environment.
    pub(super) fn companion(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env_clear();
        command.envs(self.command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        command
    }

    /// The second of its ports.
    pub(super) fn second_port(&self) -> anyhow::Result<u16> {
        Ok(self.ports.get(1).with_context(|| format!("{} has one port", self.name))?.number())
    }

    /// Sends the signal for a graceful stop; returns at once.
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

/// A random password of letters and digits, which needs no quoting.
pub(in crate::lab) fn password() -> String {
    std::iter::repeat_with(fastrand::alphanumeric).take(32).collect()
}

/// Connects to the server, with a read timeout of five seconds.
pub(super) fn connect(url: &Url) -> io::Result<TcpStream> {
    let port = url.port().ok_or(io::ErrorKind::InvalidInput)?;
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(stream)
}

/// Creates a folder that no other user can read.
pub(in crate::lab) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Creates a file that no other user can read, for a password. Replaces an earlier file of this name, from a start on other
/// ports.
pub(in crate::lab) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
