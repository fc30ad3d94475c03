//! RabbitMQ with its data in a folder.

/// Three nodes in one cluster.
pub(super) mod cluster;

use std::{
    fs::{self, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use url::Url;

use super::{
    process::{Process, connect, password, private_file, private_folder},
    programs::{folder_of, in_each_of},
};

/// The folder with `rabbitmq-server`. The one on Debian's `PATH` is a wrapper that runs as another user.
pub(super) fn programs() -> Option<PathBuf> {
    let homebrew = ["/opt/homebrew/opt/rabbitmq/sbin", "/usr/local/opt/rabbitmq/sbin"].map(PathBuf::from);
    let generic = in_each_of(&["/usr/lib/rabbitmq/lib"], "sbin");
    folder_of("rabbitmq-server", generic.chain(homebrew))
}

/// Starts a node of its own. None of its files or ports are where another node on this machine would look.
pub(super) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Process> {
    let folder = folder.join("rabbitmq");
    private_folder(&folder)?;
    let names = names(&folder)?;
    let mut node = Node::new(folder, &names).start(programs)?;
    node.needs = Some(Box::new(names));
    Ok(node)
}

/// A node that is about to be started.
struct Node {
    folder: PathBuf,
    /// Its name among the nodes of this machine.
    name: String,
    cookie: String,
    password: String,
    /// The port of its `epmd`.
    names: u16,
    /// Further lines of its configuration.
    settings: String,
    /// Further arguments of Erlang.
    arguments: &'static str,
}

impl Node {
    /// A node without others, in this folder.
    fn new(folder: PathBuf, names: &Process) -> Node {
        let (name, names) =
            (format!("oversold-{:016x}@localhost", fastrand::u64(..)), names.url.port().unwrap_or_default());
        let (cookie, password) = (password(), password());
        Node { folder, name, cookie, password, names, settings: String::new(), arguments: "" }
    }

    fn start(&self, programs: &Path) -> anyhow::Result<Process> {
        let Node { folder, password, settings, .. } = self;
        write!(private_file(&folder.join("plugins"))?, "[].")?;
        let cookie = folder.join(".erlang.cookie");
        write!(private_file(&cookie)?, "{}", self.cookie)?;
        fs::set_permissions(cookie, Permissions::from_mode(0o400))?; // Erlang refuses a cookie file that others can read.
        Process::start("RabbitMQ", ask, folder, |[port, for_nodes]| {
            write!(
                private_file(&folder.join("rabbitmq.conf"))?,
                "listeners.tcp.local = 127.0.0.1:{port}\n\
                 default_user = oversold\n\
                 default_pass = {password}\n\
                 vm_memory_high_watermark.absolute = 1GB\n\
                 disk_free_limit.absolute = 50MB\n\
                 {settings}"
            )?;
            let mut command = Command::new(programs.join("rabbitmq-server"));
            self.environment(&mut command)
                .env("RABBITMQ_NODE_PORT", port.to_string())
                .env("RABBITMQ_DIST_PORT", for_nodes.to_string());
            Ok((command, format!("amqp://oversold:{password}@127.0.0.1:{port}/%2f").parse()?))
        })
    }
}

/// Raises the node's memory alarm or clears it. While it is raised, RabbitMQ does not read from publishers.
pub(super) fn block(node: &Process, block: bool) -> anyhow::Result<()> {
    let programs = programs().context("rabbitmqctl is gone")?;
    let watermark: &[&str] = if block { &["0"] } else { &["absolute", "1GB"] };
    let mut control = node.companion(&programs.join("rabbitmqctl"));
    let done = control.arg("set_vm_memory_high_watermark").args(watermark).output()?;
    ensure!(done.status.success(), "rabbitmqctl failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}

/// Whether a quorum queue is on disk in both places: the metadata store, and the names of the Raft members. Without the second
/// one it comes back without a leader and never answers. Its own log files contain its name at once, so they are not read.
pub(super) fn has_on_disk(folder: &Path, queue: &str) -> io::Result<bool> {
    let in_folder = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let nodes: Vec<PathBuf> = fs::read_dir(folder.join("data"))?.flatten().map(|node| node.path()).collect();
    let is_database =
        |file: &PathBuf| file.extension().is_some_and(|kind| ["LOG", "DCL", "DCD"].iter().any(|of| kind == *of));
    let mut database = nodes.iter().cloned().flat_map(in_folder).filter(is_database);
    let mut names =
        nodes.iter().flat_map(|node| in_folder(node.join("quorum"))).map(|folder| folder.join("names.dets"));
    // A database file that was just merged into another one may be missing by now.
    let names_it =
        |file: PathBuf| fs::read(file).is_ok_and(|all| all.windows(queue.len()).any(|part| part == queue.as_bytes()));
    Ok(database.any(names_it) && names.any(names_it))
}

/// Starts `epmd`, Erlang's name server for the nodes of a machine. A node would otherwise start one that outlives it.
fn names(folder: &Path) -> anyhow::Result<Process> {
    let folder = folder.join("epmd");
    private_folder(&folder)?;
    Process::start("epmd", ask_for_names, &folder, |[port]| {
        let mut command = Command::new("epmd");
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1").env("ERL_EPMD_PORT", port.to_string());
        Ok((command, format!("tcp://127.0.0.1:{port}").parse()?))
    })
}

impl Node {
    /// Sets the environment so that the user's own Erlang and RabbitMQ settings have no effect.
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        // By default, nodes listen for each other on all interfaces. Two schedulers start faster than one for each core.
        let arguments = format!("-kernel inet_dist_use_interface {{127,0,0,1}} +S 2:2 {}", self.arguments);
        command
            .current_dir(&self.folder) // Erlang writes files here that it could not read
            .env_clear()
            .envs(std::env::vars_os().filter(|(key, _)| key == "PATH"))
            .env("HOME", &self.folder)
            .env("LANG", "C.UTF-8")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", self.names.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", arguments.trim_end())
            .env("RABBITMQ_NODENAME", &self.name)
            .env("RUNNING_UNDER_SYSTEMD", "true"); // The script then execs the node, so that signals reach the node.
        for (variable, name) in [
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_CONFIG_FILES", "conf.d"),
            ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "logs"),
            ("RABBITMQ_PID_FILE", "pid"),
            ("ERL_CRASH_DUMP", "crash"), // not into the user's working directory
        ] {
            command.env(variable, self.folder.join(name));
        }
        command
    }
}

/// Sends `NAMES_REQ`. The reply begins with epmd's own port; another program on that port would answer differently.
fn ask_for_names(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    stream.write_all(&[0, 1, b'n'])?;
    let mut port = [0; 4];
    stream.read_exact(&mut port)?;
    Ok(u32::from_be_bytes(port) == u32::from(url.port().unwrap_or_default()))
}

/// Sends the protocol header. RabbitMQ replies with `Connection.Start`: method 10 of class 10 in a frame of type 1.
fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    let mut frame = [0; 11];
    stream.read_exact(&mut frame)?;
    Ok(frame[0] == 1 && frame[7..] == [0, 10, 0, 10])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs RabbitMQ: make test"]
    fn thirty_start_side_by_side() {
        let folders: Vec<_> = (0..30).map(|_| tempfile::tempdir().unwrap()).collect();
        let started: Vec<_> = std::thread::scope(|scope| {
            let start = |folder: &tempfile::TempDir| names(folder.path()).map_err(|why| why.to_string());
            let starting: Vec<_> = folders.iter().map(|folder| scope.spawn(move || start(folder))).collect();
            starting.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let failed: Vec<_> = started.iter().filter_map(|started| started.as_ref().err()).collect();
        assert!(failed.is_empty(), "{failed:?}");
        let ports: std::collections::HashSet<_> = started.iter().flatten().map(|names| names.url.port()).collect();
        assert_eq!(ports.len(), 30);
    }
}
