use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{PermissionsExt, chown},
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
    unistd::{Pid, User, geteuid},
};
use tempfile::TempDir;
use url::Url;

/// How long the server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with its data in a temporary folder and its own password, durable as PostgreSQL comes.
pub(super) struct Postgres {
    server: Child,
    port: u16,
    password: String,
    folder: TempDir,
}

/// The folder with `initdb` and `postgres`, which Debian keeps off the PATH.
pub(super) fn programs() -> anyhow::Result<PathBuf> {
    let mut folders = Vec::new();
    for parent in ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let versions = fs::read_dir(parent).into_iter().flatten().flatten();
        folders.extend(versions.map(|version| version.path().join("bin")));
    }
    super::folder_of("initdb", folders).context("PostgreSQL is not installed; `make services` installs it")
}

impl Postgres {
    pub(super) fn start() -> anyhow::Result<Postgres> {
        let programs = programs()?;
        let folder = tempfile::Builder::new().prefix("oversold-servers-").tempdir()?;
        let data = folder.path().join("postgres");
        fs::create_dir(&data)?;
        let owner = owner()?;
        if let Some(user) = &owner {
            // The folder above stays ours; its server may only pass through.
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
            chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let password: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
        let program = |name: &str| {
            let mut command = Command::new(programs.join(name));
            if let Some(user) = &owner {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            command.current_dir(&data).env("LC_ALL", "C").stdin(Stdio::null());
            command
        };

        let secret = data.join("../password");
        write_secret(&secret, &password, owner.as_ref())?;
        let made = program("initdb")
            .args([
                "--username=oversold",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
                "--no-sync",
                "--pgdata",
            ])
            .arg(data.join("data"))
            .arg("--pwfile")
            .arg(&secret)
            .output()?;
        ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim());
        fs::remove_file(&secret)?;

        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let log = File::create(folder.path().join("postgres.log"))?;
        let mut server = program("postgres");
        server.arg("-D").arg(data.join("data")).arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=400",
            // Counts statements, for the price of each chapter's purchase.
            "shared_preload_libraries=pg_stat_statements",
        ] {
            server.arg("-c").arg(setting);
        }
        let server = server.process_group(0).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut postgres = Postgres { server, port, password, folder };
        postgres.wait_until_ready()?;
        Ok(postgres)
    }

    /// The superuser's URL.
    pub(super) fn url(&self) -> Url {
        let text = format!("postgres://oversold:{}@127.0.0.1:{}/postgres", self.password, self.port);
        text.parse().unwrap_or_else(|_| unreachable!("letters and digits make a URL"))
    }

    /// The server writes a line into its pid file when it takes connections.
    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let pid_file = self.folder.path().join("postgres/data/postmaster.pid");
        let deadline = Instant::now() + PATIENCE;
        while !fs::read_to_string(&pid_file).is_ok_and(|text| text.lines().last().is_some_and(|l| l.trim() == "ready"))
        {
            if self.server.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("postgres.log")).unwrap_or_default();
                bail!("PostgreSQL does not start: {}", log.lines().last().unwrap_or("it says nothing"));
            }
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.server.id() as i32);
        // Fast: ends the sessions. Then immediate: ends itself; its data goes anyway.
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGKILL] {
            let _ = kill(pid, signal);
            let deadline = Instant::now() + PATIENCE / 6;
            while Instant::now() < deadline {
                if self.server.try_wait().is_ok_and(|ended| ended.is_some()) {
                    return;
                }
                sleep(Duration::from_millis(20));
            }
        }
    }
}

/// PostgreSQL refuses to run as root: then it runs as its package's user, or as nobody.
fn owner() -> anyhow::Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    bail!("PostgreSQL does not run as root, and here is neither a user postgres nor nobody")
}

fn write_secret(path: &Path, secret: &str, owner: Option<&User>) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(secret.as_bytes())?;
    if let Some(user) = owner {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    Ok(())
}
