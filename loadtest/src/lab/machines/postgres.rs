//! PostgreSQL under Patroni: one primary, one synchronous standby and one more, with ZooKeeper as the place of the election.

use std::{fs, io::Write, process::Command, time::Duration};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use super::{
    MACHINES, Part, Shared, http,
    machine::Machine,
    network::{ip, name},
    programs::path_of,
    zookeeper,
};
use crate::lab::servers::{Server, process::private_file};

/// PostgreSQL's port on each machine. Clients connect through HAProxy.
pub(super) const PORT: u16 = 5432;
/// The port of Patroni's REST API.
pub(super) const PATRONI: u16 = 8008;
/// The superuser.
pub(super) const USER: &str = "oversold";
/// How long a planned switchover may take.
const TO_SWITCH: Duration = Duration::from_secs(30);

/// A member of the cluster, as Patroni tells.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Member {
    pub(super) name: String,
    /// `leader`, `sync_standby` or `replica`.
    pub(super) role: String,
    /// `running` or `streaming` while it works.
    pub(super) state: String,
    /// Counts the primaries so far.
    #[serde(default)]
    pub(super) timeline: u32,
}

#[derive(Deserialize)]
struct Cluster {
    members: Vec<Member>,
}

/// Writes Patroni's settings.
///
/// A commit waits for one standby, also while there is none (`synchronous_mode_strict`): whoever was told `confirmed` loses nothing
/// with one disk. The leader's key lasts ten seconds. A primary that cannot renew it within three is demoted, before another one is
/// promoted. `wal_retrieve_retry_interval`: a new primary has no slot for its standby yet, and strict mode waits for the retry.
pub(super) fn prepare(machine: &Machine, shared: &Shared) -> anyhow::Result<()> {
    let folder = machine.folder_of(Part::Patroni);
    fs::create_dir_all(&folder)?;
    let (programs, data, password) = (Server::Postgres.programs()?, folder.join("data"), &shared.password);
    let (ip, name, hosts) = (machine.ip(), machine.name(), zookeeper::hosts());
    write!(
        private_file(&folder.join("patroni.yml"))?,
        "scope: oversold
name: {name}
restapi: {{listen: '{ip}:{PATRONI}', connect_address: '{ip}:{PATRONI}'}}
zookeeper: {{hosts: [{hosts}]}}
watchdog: {{mode: 'off'}}
bootstrap:
  dcs:
    ttl: 10
    loop_wait: 2
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    synchronous_mode_strict: true
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 200
        shared_preload_libraries: pg_stat_statements
        wal_log_hints: 'on'
        wal_keep_size: 64MB
        tcp_user_timeout: 3000
        wal_sender_timeout: 5000
        wal_receiver_timeout: 5000
        wal_retrieve_retry_interval: 500ms
        unix_socket_directories: ''
        dynamic_shared_memory_type: mmap
  initdb: [encoding: UTF8, locale: C, no-sync]
postgresql:
  listen: '{ip}:{PORT}'
  connect_address: '{ip}:{PORT}'
  bin_dir: {programs}
  data_dir: {data}
  pgpass: {pgpass}
  authentication:
    superuser: {{username: {USER}, password: {password}}}
    replication: {{username: replicator, password: {password}}}
    rewind: {{username: rewinder, password: {password}}}
  pg_hba:
    - host all all 10.77.0.0/24 scram-sha-256
    - host replication replicator 10.77.0.0/24 scram-sha-256
",
        programs = programs.display(),
        data = data.display(),
        pgpass = folder.join("pgpass").display(),
    )?;
    Ok(())
}

pub(super) fn command() -> Command {
    let mut command = Command::new(path_of("patroni"));
    command.arg("patroni.yml").env("LC_ALL", "C").env("PYTHONUNBUFFERED", "1");
    command
}

/// The members of the cluster, as the first machine that answers tells. While ZooKeeper has no majority, that is as it was before.
pub(super) fn members() -> anyhow::Result<Vec<Member>> {
    let mut last = None;
    for number in 1..=MACHINES {
        match http::ask((ip(number), PATRONI), "GET", "/cluster", "", None) {
            Ok((_, body)) => return Ok(serde_json::from_str::<Cluster>(&body)?.members),
            Err(why) => last = Some(why),
        }
    }
    Err(last.context("no machine")?)
}

/// Whether there is a primary, a synchronous standby, and all follow.
pub(super) fn is_healthy() -> anyhow::Result<bool> {
    let members = members()?;
    let with = |role: &str| members.iter().any(|member| member.role == role);
    let follow = members.iter().all(|member| ["running", "streaming"].contains(&member.state.as_str()));
    let same = members.iter().all(|member| member.timeline == members[0].timeline);
    Ok(members.len() == usize::from(MACHINES) && with("leader") && with("sync_standby") && follow && same)
}

/// The machine of a role: `leader` or `sync_standby`.
pub(super) fn machine_of(role: &str) -> anyhow::Result<u8> {
    let members = members()?;
    let member = members.iter().find(|member| member.role == role).with_context(|| format!("there is no {role}"))?;
    (1..=MACHINES).find(|number| name(*number) == member.name).context("an unknown member")
}

/// Makes the synchronous standby the primary, as an operator does.
pub(super) fn switch_over() -> anyhow::Result<()> {
    let (from, to) = (machine_of("leader")?, machine_of("sync_standby")?);
    let order = serde_json::json!({"leader": name(from), "candidate": name(to)}).to_string();
    let (status, said) = http::ask((ip(from), PATRONI), "POST", "/switchover", &order, Some(TO_SWITCH))?;
    ensure!(status == 200, "Patroni refuses the switchover ({status}): {said}");
    if machine_of("leader")? != to {
        bail!("{} is not the primary after the switchover", name(to));
    }
    Ok(())
}
