//! RabbitMQ: a node on each machine, in one cluster.

use std::{
    fs::{self, Permissions},
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use std::io::Read;
use url::Url;

use super::{
    MACHINES, Part, Shared, http,
    machine::Machine,
    network::{ip, name},
    programs::path_of,
};
use crate::lab::servers::{Server, process::private_file};

/// The port for clients.
pub(super) const PORT: u16 = 5672;
/// The user.
const USER: &str = "oversold";

/// Writes the settings. A node in a minority pauses, so that it cannot confirm what the majority does not have. Without the lower
/// `discovery_retry_limit` and `net_setuptime`, a boot without the others takes twice as long.
pub(super) fn prepare(machine: &Machine, shared: &Shared) -> anyhow::Result<()> {
    let folder = machine.folder_of(Part::RabbitMq);
    fs::create_dir_all(&folder)?;
    fs::create_dir_all(machine.folder_of(Part::Epmd))?;
    write!(private_file(&folder.join("plugins"))?, "[].")?;
    let cookie = folder.join(".erlang.cookie");
    write!(private_file(&cookie)?, "{}", shared.cookie)?;
    fs::set_permissions(cookie, Permissions::from_mode(0o400))?; // Erlang refuses a cookie file that others can read.
    let nodes: String =
        (1..=MACHINES).map(|n| format!("cluster_formation.classic_config.nodes.{n} = {}\n", node(n))).collect();
    write!(
        private_file(&folder.join("rabbitmq.conf"))?,
        "listeners.tcp.1 = {}:{PORT}\n\
         default_user = {USER}\n\
         default_pass = {}\n\
         loopback_users = none\n\
         vm_memory_high_watermark.absolute = 1GB\n\
         disk_free_limit.absolute = 50MB\n\
         cluster_partition_handling = pause_minority\n\
         net_ticktime = 5\n\
         cluster_formation.peer_discovery_backend = classic_config\n\
         cluster_formation.discovery_retry_limit = 2\n\
         cluster_formation.target_cluster_size_hint = 3\n\
         {nodes}",
        machine.ip(),
        shared.password
    )?;
    Ok(())
}

/// The nodes' name server. A node would otherwise start one that outlives it.
pub(super) fn epmd(machine: &Machine) -> Command {
    let mut command = Command::new(path_of("epmd"));
    command.env("ERL_EPMD_ADDRESS", machine.ip().to_string());
    command
}

pub(super) fn command(machine: &Machine) -> anyhow::Result<Command> {
    tool(machine, "rabbitmq-server")
}

/// One of RabbitMQ's programs, with this node's environment and without the user's own settings.
fn tool(machine: &Machine, program: &str) -> anyhow::Result<Command> {
    let folder = machine.folder_of(Part::RabbitMq);
    let mut command = Command::new(Server::RabbitMq.programs()?.join(program));
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(key, _)| key == "PATH"))
        .env("HOME", &folder)
        .env("LANG", "C.UTF-8")
        .env("RABBITMQ_NODENAME", node(machine.number))
        .env("ERL_EPMD_ADDRESS", machine.ip().to_string())
        // Waiting threads that spin would take two cores from everything else.
        .env(
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel net_setuptime 2",
        )
        .env("RUNNING_UNDER_SYSTEMD", "1"); // The script then execs the node, so that signals reach the node.
    for (variable, file) in [
        ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
        ("RABBITMQ_CONFIG_FILES", "conf.d"),
        ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "plugins"),
        ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
        ("RABBITMQ_MNESIA_BASE", "data"),
        ("RABBITMQ_LOG_BASE", "logs"),
        ("RABBITMQ_PID_FILE", "pid"),
        ("ERL_CRASH_DUMP", "crash"),
    ] {
        command.env(variable, folder.join(file));
    }
    Ok(command)
}

/// All nodes, for a client.
pub(super) fn urls(password: &str) -> anyhow::Result<Vec<Url>> {
    let url = |number| Ok(format!("amqp://{USER}:{password}@{}:{PORT}/%2f", ip(number)).parse()?);
    (1..=MACHINES).map(url).collect()
}

/// Whether a machine's node takes clients. It answers the protocol's header with `Connection.Start`.
pub(super) fn answers(number: u8) -> anyhow::Result<bool> {
    let mut stream = http::connect(ip(number), PORT)?;
    stream.write_all(b"AMQP\0\0\x09\x01")?;
    let mut frame = [0; 11];
    stream.read_exact(&mut frame)?;
    Ok(frame[0] == 1 && frame[7..] == [0, 10, 0, 10])
}

/// How many nodes run in the cluster of this machine's node. Takes about two seconds.
pub(super) fn running(machine: &Machine) -> anyhow::Result<usize> {
    // The function has another name before RabbitMQ 3.13.
    let ask = "length(case erlang:function_exported(rabbit_nodes, list_running, 0) of \
               true -> rabbit_nodes:list_running(); false -> rabbit_nodes:all_running() end).";
    Ok(eval(machine, ask)?.parse()?)
}

/// The machine whose node leads a queue. Takes about two seconds.
pub(super) fn leader_of(machine: &Machine, queue: &str) -> anyhow::Result<u8> {
    let ask = format!(
        "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
         {{_, Leader}} = amqqueue:get_pid(Q), Leader."
    );
    let leader = eval(machine, &ask)?;
    let leads = |number: &u8| node(*number) == leader.trim_matches('\'');
    (1..=MACHINES).find(leads).with_context(|| format!("{queue} is led by {leader}"))
}

/// How many elections of queues the nodes have logged after the first one of each queue.
pub(super) fn elections(machines: &[PathBuf]) -> usize {
    machines.iter().map(|folder| elections_in(&folder.join("logs"))).sum()
}

fn elections_in(logs: &Path) -> usize {
    let files = fs::read_dir(logs).into_iter().flatten().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    texts.map(|text| text.lines().filter(|line| is_later_election(line)).count()).sum()
}

/// Whether a line of the log tells that a queue has a leader again: `candidate -> leader in term: 2`.
fn is_later_election(line: &str) -> bool {
    let term = line.split("-> leader in term: ").nth(1).and_then(|rest| rest.split_whitespace().next());
    term.and_then(|term| term.parse::<u64>().ok()).is_some_and(|term| term > 1)
}

fn eval(machine: &Machine, expression: &str) -> anyhow::Result<String> {
    let mut control = tool(machine, "rabbitmqctl")?;
    control.args(["eval", expression]);
    let done = machine.inside(|| Ok(control.output()?))?;
    let said = String::from_utf8_lossy(&done.stdout).trim().to_owned();
    ensure!(done.status.success(), "rabbitmqctl failed: {said} {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(said)
}

fn node(number: u8) -> String {
    format!("rabbit@{}", name(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_election_after_the_first_one_counts() {
        let line = |term| {
            format!(
                "[notice] <0.1> queue 'orders' in vhost '/': candidate -> leader in term: {term} machine version: 2"
            )
        };
        assert!(!is_later_election(&line(1)));
        assert!(is_later_election(&line(12)));
        assert!(!is_later_election("[info] <0.1> started TCP listener"));
    }
}
