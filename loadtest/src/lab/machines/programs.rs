//! The programs that three machines need.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::ensure;

use crate::lab::servers::{Server, programs::folder_of};

/// Programs with the folders that are not on everybody's `PATH`.
const PROGRAMS: [&str; 6] = ["unshare", "ip", "mount", "patroni", "haproxy", "epmd"];
/// Servers that the lab also runs alone.
const SERVERS: [Server; 4] = [Server::Postgres, Server::Redis, Server::RabbitMq, Server::ZooKeeper];

/// Checks that all programs are installed.
///
/// # Errors
/// Some are missing. The message names them, and what installs them.
pub(super) fn check() -> anyhow::Result<()> {
    let mut missing: Vec<String> =
        SERVERS.iter().filter(|server| !server.is_installed()).map(ToString::to_string).collect();
    missing.extend(PROGRAMS.iter().filter(|program| !is_found(program)).map(ToString::to_string));
    if missing.is_empty() && !knows_zookeeper() {
        missing.push("python3-kazoo".into());
    }
    ensure!(missing.is_empty(), "--machines needs {}: `make machines` installs what is missing", missing.join(", "));
    Ok(())
}

/// The program's path, or its name if it is not in one of these folders.
pub(super) fn path_of(program: &str) -> String {
    let folder = folder_of(program, ["/usr/sbin".into(), "/sbin".into()]);
    folder.map_or_else(|| program.into(), |folder| folder.join(program).display().to_string())
}

fn is_found(program: &str) -> bool {
    path_of(program).contains('/')
}

/// Whether Patroni can speak to ZooKeeper and PostgreSQL: its libraries are packages of their own, for the Python that its first
/// line names.
fn knows_zookeeper() -> bool {
    let patroni = fs::read_to_string(path_of("patroni")).unwrap_or_default();
    let Some(python) = patroni.lines().next().and_then(|line| line.strip_prefix("#!")) else { return false };
    let mut python = Command::new(python.trim());
    python.args(["-c", "import kazoo.client, psycopg2"]);
    python.stdin(Stdio::null()).output().is_ok_and(|done| done.status.success())
}
