//! PostgreSQL with its data in a folder.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::ensure;
use nix::sys::signal::Signal;
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
    let folder = servers.join("postgres");
    private_folder(&folder)?;
    // PostgreSQL refuses to run as root.
    let owner = unprivileged("postgres")?;
    if let Some(user) = &owner {
        hand_over(&folder, user)?;
    }
    let program = |name: &str| {
        let mut command = Command::new(programs.join(name));
        if let Some(user) = &owner {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir(&folder).env("LC_ALL", "C").stdin(Stdio::null());
        command
    };

    let password = password();
    let secret = folder.join("password");
    private_file(&secret)?.write_all(password.as_bytes())?;
    if let Some(user) = &owner {
        give(&secret, user)?;
    }
    let made = program("initdb")
        .args(["--username=oversold", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"])
        .args(["--pgdata=data", "--pwfile=password"])
        .output()?;
    ensure!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim());
    fs::remove_file(&secret)?;

    let mut postgres = Process::start("PostgreSQL", ask, &folder, |[port]| {
        let mut server = program("postgres");
        server.args(["-D", "data", "-p", &port.to_string()]);
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=400",
            // Counts statements, for the cost of each chapter's purchase.
            "shared_preload_libraries=pg_stat_statements",
        ] {
            server.arg("-c").arg(setting);
        }
        Ok((server, format!("postgres://oversold:{password}@127.0.0.1:{port}/postgres").parse()?))
    })?;
    postgres.gentle = Signal::SIGINT; // SIGTERM waits until all sessions have ended.
    Ok(postgres)
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
