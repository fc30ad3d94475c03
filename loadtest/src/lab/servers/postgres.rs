//! PostgreSQL with its data in a folder.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::ensure;
use nix::{sys::signal::Signal, unistd::User};
use url::Url;

use super::{
    owner::{give, hand_over, unprivileged},
    process::{Process, connect, password, private_file, private_folder},
    programs::{folder_of, in_each_of},
};

/// The folder with `initdb` and `postgres`, which is not on Debian's `PATH`.
pub(super) fn programs() -> Option<PathBuf> {
    folder_of("initdb", in_each_of(&["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"], "bin"))
}

/// Starts a server with a superuser and the default durability.
pub(super) fn start(programs: &Path, servers: &Path) -> anyhow::Result<Process> {
    let (place, password) = (Place::new(programs, &servers.join("postgres"))?, password());
    place.init(&password)?;
    place.serve(&password, &[])
}

/// Starts a server and its synchronous standby: each COMMIT waits until the standby has it on its disk, also while there is none.
pub(super) fn start_replicated(programs: &Path, servers: &Path) -> anyhow::Result<Vec<Process>> {
    let (place, password) = (Place::new(programs, &servers.join("postgres"))?, password());
    place.init(&password)?;
    // Old parts of the log are kept for a standby that was away. It asks for them again twice a second.
    let settings = ["synchronous_standby_names=standby", "wal_keep_size=64MB", "wal_retrieve_retry_interval=500ms"];
    let primary = place.serve(&password, &settings)?;
    let port = primary.url.port().unwrap_or_default();
    let place = Place::new(programs, &servers.join("standby"))?;
    let of = format!("--dbname=host=127.0.0.1 port={port} user=oversold application_name=standby");
    let mut copy = place.program("pg_basebackup");
    copy.args(["--pgdata=data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", &of]);
    place.run(copy.env("PGPASSWORD", &password))?;
    let standby = place.serve(&password, &settings)?;
    Ok(vec![primary, standby])
}

/// PostgreSQL's programs, and the folder and the user that they run in and as.
struct Place {
    programs: PathBuf,
    folder: PathBuf,
    owner: Option<User>,
}

impl Place {
    fn new(programs: &Path, folder: &Path) -> anyhow::Result<Place> {
        private_folder(folder)?;
        // PostgreSQL refuses to run as root.
        let owner = unprivileged("postgres")?;
        if let Some(user) = &owner {
            hand_over(folder, user)?;
        }
        Ok(Place { programs: programs.into(), folder: folder.into(), owner })
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        if let Some(user) = &self.owner {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir(&self.folder).env("LC_ALL", "C").stdin(Stdio::null());
        command
    }

    fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let made = command.output()?;
        let program = Path::new(command.get_program()).file_name().unwrap_or_default().display().to_string();
        ensure!(made.status.success(), "{program} failed: {}", String::from_utf8_lossy(&made.stderr).trim());
        Ok(())
    }

    /// Creates the data of a server.
    fn init(&self, password: &str) -> anyhow::Result<()> {
        let secret = self.folder.join("password");
        private_file(&secret)?.write_all(password.as_bytes())?;
        if let Some(user) = &self.owner {
            give(&secret, user)?;
        }
        let mut init = self.program("initdb");
        init.args(["--username=oversold", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]);
        self.run(init.args(["--pgdata=data", "--pwfile=password"]))?;
        Ok(fs::remove_file(&secret)?)
    }

    /// Starts a server on the folder's data.
    fn serve(&self, password: &str, further: &[&str]) -> anyhow::Result<Process> {
        let mut postgres = Process::start("PostgreSQL", ask, &self.folder, |[port]| {
            let mut server = self.program("postgres");
            server.args(["-D", "data", "-p", &port.to_string()]);
            let settings = [
                "listen_addresses=127.0.0.1",
                "unix_socket_directories=",
                "max_connections=400",
                // In the data folder. The default is a file in /dev/shm, which stays there when the server is killed.
                "dynamic_shared_memory_type=mmap",
                // Counts statements, for the cost of each chapter's purchase.
                "shared_preload_libraries=pg_stat_statements",
            ];
            for setting in settings.iter().chain(further) {
                server.arg("-c").arg(setting);
            }
            Ok((server, format!("postgres://oversold:{password}@127.0.0.1:{port}/postgres").parse()?))
        })?;
        postgres.gentle = Signal::SIGINT; // SIGTERM waits until all sessions have ended.
        Ok(postgres)
    }
}

/// Opens a session. PostgreSQL asks for a password (`R`) when it accepts sessions, and sends an error (`E`) during recovery.
fn ask(url: &Url) -> io::Result<bool> {
    let parameters = b"\0\x03\0\0user\0oversold\0database\0postgres\0\0"; // protocol version 3.0
    let mut stream = connect(url)?;
    stream.write_all(&(4 + parameters.len() as u32).to_be_bytes())?;
    stream.write_all(parameters)?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    Ok(kind == *b"R")
}
