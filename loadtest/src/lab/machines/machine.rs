//! One machine: a network, a list of processes and mounts of its own.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, ensure};
use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use url::Url;

use super::{CLIENTS, Part, network, processes};
use crate::lab::servers::{process::private_folder, tree};

/// The namespaces that each machine has: the name in `/proc`, and its flag.
const NAMESPACES: [(&str, CloneFlags); 3] =
    [("net", CloneFlags::CLONE_NEWNET), ("mnt", CloneFlags::CLONE_NEWNS), ("pid", CloneFlags::CLONE_NEWPID)];

/// How long the first process may take to end after all others.
const TO_END: Duration = Duration::from_secs(15);

/// A machine. It can be switched off and on again, and keeps its address and its files.
pub struct Machine {
    /// 1, 2 or 3; 4 is the place of the clients.
    pub number: u8,
    folder: PathBuf,
    loadtest: PathBuf,
    /// `None` while it is switched off.
    life: Mutex<Option<Life>>,
    /// The first process of its life before, which ends when all others are waited for.
    ending: Mutex<Option<Child>>,
}

/// A machine that is switched on.
struct Life {
    init: Child,
    namespaces: Vec<(File, CloneFlags)>,
    parts: HashMap<Part, Child>,
}

impl Machine {
    /// A machine with its files in `folder`, switched on.
    pub(super) fn new(number: u8, loadtest: &Path, folder: &Path) -> anyhow::Result<Machine> {
        let machine = Machine {
            number,
            folder: folder.join(network::name(number)),
            loadtest: loadtest.into(),
            life: Mutex::default(),
            ending: Mutex::default(),
        };
        private_folder(&machine.folder)?;
        machine.switch_on()?;
        Ok(machine)
    }

    /// Its address, which only the other machines and the load test reach.
    pub fn ip(&self) -> Ipv4Addr {
        network::ip(self.number)
    }

    /// Its name, which the other machines know.
    pub fn name(&self) -> String {
        network::name(self.number)
    }

    /// A database's URL as a shop on this machine uses it: through the machine's own HAProxy.
    ///
    /// # Errors
    /// The URL has no host.
    pub fn database(&self, url: &Url) -> anyhow::Result<Url> {
        let mut url = url.clone();
        url.set_ip_host(self.ip().into()).map_err(|()| anyhow!("a database without a host"))?;
        Ok(url)
    }

    /// The folder of a server's files on this machine.
    pub(super) fn folder_of(&self, part: Part) -> PathBuf {
        self.folder.join(part.to_string())
    }

    /// The id of its first process; `None` while it is switched off. A shell on the machine: `nsenter --target ID --all`.
    pub fn init(&self) -> Option<u32> {
        self.life().as_ref().map(|life| life.init.id())
    }

    /// Starts it without any server.
    pub(super) fn switch_on(&self) -> anyhow::Result<()> {
        let mut life = self.life();
        ensure!(life.is_none(), "{} is switched on", self.name());
        self.wait_for_its_end()?;
        let mut init = Command::new(&self.loadtest);
        init.arg("init").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        if self.number == CLIENTS {
            init.args(self.folder.parent()); // the files of all machines
        }
        // Namespaces belong to a thread and are inherited, so that a thread of its own makes them.
        let start = || {
            unshare(NAMESPACES.iter().map(|(_, flag)| *flag).collect())?;
            anyhow::Ok(init.spawn()?)
        };
        let mut init = on_a_thread(start).with_context(|| format!("cannot start {}", self.name()))?;
        let mut line = String::new();
        BufReader::new(init.stdout.take().context("no output")?).read_line(&mut line)?;
        ensure!(line == "up\n", "{} does not start", self.name());
        let namespace = |(name, flag): (&str, CloneFlags)| {
            let path = format!("/proc/{}/ns/{name}", init.id());
            Ok((File::open(&path).with_context(|| format!("cannot open {path}"))?, flag))
        };
        let namespaces = NAMESPACES.into_iter().map(namespace).collect::<anyhow::Result<_>>()?;
        network::plug_in(self.number, init.id())?;
        let started = life.insert(Life { init, namespaces, parts: HashMap::new() });
        started.inside(|| network::take_address(self.number))
    }

    /// Works as a process of this machine would: what is started or connected meanwhile is on this machine.
    ///
    /// # Errors
    /// The machine is switched off, or the work fails.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        self.life().as_ref().with_context(|| format!("{} is switched off", self.name()))?.inside(work)
    }

    /// Starts one of its servers, with a log beside its files.
    pub(super) fn start(&self, part: Part, mut command: Command) -> anyhow::Result<()> {
        let mut life = self.life();
        let life = life.as_mut().with_context(|| format!("{} is switched off", self.name()))?;
        ensure!(!life.parts.contains_key(&part), "{part} runs on {}", self.name());
        let folder = self.folder_of(part);
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        command.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = life.inside(|| Ok(command.spawn()?));
        life.parts.insert(part, child.with_context(|| format!("cannot start {part} on {}", self.name()))?);
        Ok(())
    }

    /// Whether one of its servers has ended by itself, and the last line of that one's log.
    pub(super) fn has_ended(&self) -> Option<String> {
        let mut life = self.life();
        let ended = |(part, child): (&Part, &mut Child)| Some((*part, child.try_wait().ok()??));
        let (part, status) = life.as_mut()?.parts.iter_mut().find_map(ended)?;
        let log = fs::read_to_string(self.folder_of(part).join("log")).unwrap_or_default();
        let last = log.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("its log is empty");
        Some(format!("{part} on {} has ended ({status}): {last}", self.name()))
    }

    /// Kills one of its servers and that one's children (SIGKILL).
    ///
    /// # Errors
    /// The server does not run.
    pub fn kill_part(&self, part: Part) -> anyhow::Result<()> {
        let child = self.life().as_mut().and_then(|life| life.parts.remove(&part));
        let mut child = child.with_context(|| format!("{part} does not run on {}", self.name()))?;
        tree::kill_all(Pid::from_raw(child.id() as i32));
        child.wait()?;
        if part == Part::Patroni {
            // PostgreSQL is no child of Patroni, which has to be able to restart without it.
            let init = self.init().with_context(|| format!("{} is switched off", self.name()))?;
            processes::signal_named(init, "postgres", Signal::SIGKILL);
        }
        Ok(())
    }

    /// Sends a signal to one of its servers, without that one's children.
    ///
    /// # Errors
    /// The server does not run.
    pub fn signal_part(&self, part: Part, signal: Signal) -> anyhow::Result<()> {
        let pid = self.life().as_ref().and_then(|life| life.parts.get(&part).map(Child::id));
        let pid = pid.with_context(|| format!("{part} does not run on {}", self.name()))?;
        Ok(kill(Pid::from_raw(pid as i32), signal)?)
    }

    /// Kills the machine, as if its plug were pulled: first its cable is taken down, then all of its processes end. Its files stay.
    /// Whoever has started a process there has to wait for it before the machine can come back.
    ///
    /// # Errors
    /// It is switched off.
    pub fn kill(&self) -> anyhow::Result<()> {
        let mut life = self.life().take().with_context(|| format!("{} is switched off", self.name()))?;
        network::connect(self.number, false)?;
        life.init.kill()?;
        life.parts.values_mut().try_for_each(|part| part.wait().map(drop))?;
        *locked(&self.ending) = Some(life.init);
        network::unplug(self.number)
    }

    /// Whether somebody else has killed all of its servers. Then none counts as started any more.
    pub(super) fn has_died(&self) -> bool {
        let mut life = self.life();
        let Some(life) = life.as_mut().filter(|life| !life.parts.is_empty()) else { return false };
        let has_ended = |part: &mut Child| part.try_wait().is_ok_and(|ended| ended.is_some());
        let is_dead = life.parts.values_mut().all(has_ended);
        if is_dead {
            life.parts.clear();
        }
        is_dead
    }

    /// Freezes all of its processes (SIGSTOP): its connections stay open, and it does nothing.
    ///
    /// # Errors
    /// It is switched off.
    pub fn stop(&self) -> anyhow::Result<()> {
        // A process may start another one while they are listed.
        while self.signal_all(Signal::SIGSTOP)? > 0 {}
        Ok(())
    }

    /// Lets a stopped machine go on (SIGCONT).
    ///
    /// # Errors
    /// It is switched off.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal_all(Signal::SIGCONT).map(drop)
    }

    /// Cuts it off from the network. Its processes run on, and nothing tells them or their peers.
    ///
    /// # Errors
    /// It is switched off.
    pub fn cut_off(&self) -> anyhow::Result<()> {
        network::connect(self.number, false)
    }

    /// Joins a machine to the network again that was cut off.
    ///
    /// # Errors
    /// It is switched off.
    pub fn join(&self) -> anyhow::Result<()> {
        network::connect(self.number, true)
    }

    /// Ends all of its processes. Its first process ends when its standard input closes, and the others with it.
    pub(super) fn switch_off(&self) {
        if let Some(mut life) = self.life().take() {
            drop(life.init.stdin.take());
            for mut part in life.parts.into_values() {
                let _ = part.wait();
            }
            *locked(&self.ending) = Some(life.init);
        }
        let _ = self.wait_for_its_end();
    }

    fn wait_for_its_end(&self) -> anyhow::Result<()> {
        let Some(mut init) = locked(&self.ending).take() else { return Ok(()) };
        let deadline = Instant::now() + TO_END;
        while init.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "{} does not end", self.name());
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Sends a signal to all of its processes but the first one, which has to end with the load test. Returns how many changed
    /// their state by it.
    fn signal_all(&self, signal: Signal) -> anyhow::Result<usize> {
        Ok(processes::signal_all(self.init().with_context(|| format!("{} is switched off", self.name()))?, signal))
    }

    fn life(&self) -> MutexGuard<'_, Option<Life>> {
        locked(&self.life)
    }
}

impl Life {
    fn inside<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        on_a_thread(|| {
            unshare(CloneFlags::CLONE_FS)?; // other threads keep their working directory
            for (namespace, flag) in &self.namespaces {
                setns(namespace, *flag)?;
            }
            work()
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
    thread::scope(|scope| scope.spawn(work).join()).map_err(|_| anyhow!("a thread panicked"))?
}
