//! HAProxy in front of PostgreSQL: sqlx cannot look for the primary itself. It asks each machine's Patroni.

use std::{fs, process::Command};

use url::Url;

use super::{
    CLIENTS, MACHINES, Part,
    machine::Machine,
    network::{ip, name},
    postgres,
    programs::path_of,
};

/// The port that leads to the primary.
pub(super) const PORT: u16 = 5000;

/// Writes its settings. When Patroni no longer says that its PostgreSQL is the primary, all connections to it are closed: an old
/// primary must not go on answering. `OPTIONS` keeps Patroni from logging an error for each question.
pub(super) fn prepare(machine: &Machine) -> anyhow::Result<()> {
    let folder = machine.folder_of(Part::HaProxy);
    fs::create_dir_all(&folder)?;
    let servers: String = (1..=MACHINES)
        .map(|n| format!("    server {} {}:{} check port {}\n", name(n), ip(n), postgres::PORT, postgres::PATRONI))
        .collect();
    // The load test's own must not take a slow primary for a dead one.
    let (answers_within, fails) = if machine.number == CLIENTS { ("2s", 4) } else { ("1s", 2) };
    fs::write(
        folder.join("haproxy.cfg"),
        format!(
            "defaults\n\
             \x20   mode tcp\n\
             \x20   timeout connect 1s\n\
             \x20   timeout client 1h\n\
             \x20   timeout server 1h\n\
             \x20   timeout check {answers_within}\n\
             listen primary\n\
             \x20   bind {}:{PORT}\n\
             \x20   option httpchk\n\
             \x20   http-check send meth OPTIONS uri /primary\n\
             \x20   http-check expect status 200\n\
             \x20   default-server inter 500ms fastinter 250ms fall {fails} rise 1 on-marked-down shutdown-sessions\n\
             {servers}",
            machine.ip()
        ),
    )?;
    Ok(())
}

pub(super) fn command() -> Command {
    let mut command = Command::new(path_of("haproxy"));
    command.args(["-db", "-f", "haproxy.cfg"]);
    command
}

/// The primary, through the HAProxy of this machine.
pub(super) fn url(machine: &Machine, password: &str) -> anyhow::Result<Url> {
    Ok(format!("postgres://{}:{password}@{}:{PORT}/postgres", postgres::USER, machine.ip()).parse()?)
}
