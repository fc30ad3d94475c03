//! A Redis Cluster on one machine: three primaries, and a replica of each.

use std::{
    path::Path,
    thread::{scope, sleep},
    time::{Duration, Instant},
};

use ::redis::{Client, Connection, RedisResult, cmd};
use anyhow::{Context, ensure};

use super::{
    process::{Process, password, private_folder},
    redis::{ask, command, url},
};

/// The number of primaries, each with a third of the slots.
const PRIMARIES: usize = 3;
/// The first slot that no node has.
const SLOTS: usize = 16_384;
/// How long the nodes may take to know each other.
const TO_FORM: Duration = Duration::from_secs(60);
/// How often a node is asked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The settings of every node.
const SETTINGS: [(&str, &str); 7] = [
    ("cluster-enabled", "yes"),
    // A failover takes about twice this time.
    ("cluster-node-timeout", "2000"),
    // While one primary is away, the sales of the others go on.
    ("cluster-require-full-coverage", "no"),
    ("cluster-allow-replica-migration", "no"),
    // A replica that lags is promoted, too: the shop rebuilds its sales.
    ("cluster-replica-validity-factor", "0"),
    ("repl-diskless-sync-delay", "0"),
    ("repl-timeout", "5"),
];

/// Starts the nodes and forms a cluster of them. The first three are primaries, and node `n + 3` replicates node `n`.
pub(super) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Vec<Process>> {
    let (folder, password) = (folder.join("redis-cluster"), password());
    private_folder(&folder)?;
    let start = |n: usize| {
        let folder = folder.join(n.to_string());
        private_folder(&folder)?;
        Process::start("Redis", ask, &folder, |[port, bus]| {
            let (own, of_bus) = (port.to_string(), bus.to_string());
            let ports = [("port", own.as_str()), ("cluster-port", &of_bus), ("masterauth", &password)];
            let settings = [&SETTINGS[..], &ports].concat();
            Ok((command(programs, &folder, &password, &settings)?, url(&password, port)?))
        })
    };
    let nodes: Vec<_> = scope(|threads| {
        let starting: Vec<_> = (0..2 * PRIMARIES).map(|n| threads.spawn(move || start(n))).collect();
        let started = starting.into_iter().map(|thread| thread.join());
        started.map(|node| node.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let nodes = nodes.into_iter().collect::<anyhow::Result<Vec<Process>>>()?;
    form(&nodes)?;
    Ok(nodes)
}

/// Makes one cluster of empty nodes, and waits until every node sees it complete.
fn form(nodes: &[Process]) -> anyhow::Result<()> {
    let connect = |node: &Process| Client::open(node.url.as_str())?.get_connection();
    let mut connections = nodes.iter().map(connect).collect::<RedisResult<Vec<Connection>>>()?;
    for (n, node) in connections.iter_mut().enumerate() {
        // Before they meet: the nodes need different epochs to agree quickly.
        cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(n + 1).exec(node)?;
        if n < PRIMARIES {
            let (first, next) = (n * SLOTS / PRIMARIES, (n + 1) * SLOTS / PRIMARIES);
            cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(next - 1).exec(node)?;
        }
    }
    for node in &nodes[1..] {
        let mut meet = cmd("CLUSTER");
        meet.arg("MEET").arg("127.0.0.1").arg(node.url.port());
        // The bus does not have its usual port.
        meet.arg(node.second_port()?).exec(&mut connections[0])?;
    }
    let all = |info: &str| info.contains(&format!("cluster_known_nodes:{}", nodes.len()));
    for node in &mut connections {
        wait_for(node, &["CLUSTER", "INFO"], all)?;
    }
    for n in PRIMARIES..nodes.len() {
        let primary: String = cmd("CLUSTER").arg("MYID").query(&mut connections[n - PRIMARIES])?;
        wait_for(&mut connections[n], &["CLUSTER", "NODES"], |nodes| nodes.contains(&primary))?;
        cmd("CLUSTER").arg("REPLICATE").arg(primary).exec(&mut connections[n])?;
    }
    for (n, node) in connections.iter_mut().enumerate() {
        wait_for(node, &["CLUSTER", "INFO"], |info| info.contains("cluster_state:ok"))?;
        let is_linked = |info: &str| match n < PRIMARIES {
            true => info.contains("connected_slaves:1"),
            false => info.contains("master_link_status:up"),
        };
        wait_for(node, &["INFO", "replication"], is_linked)?;
    }
    Ok(())
}

/// Waits until the answer to a command is as wanted.
fn wait_for(node: &mut Connection, words: &[&str], is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + TO_FORM;
    loop {
        let answer: String = cmd(words[0]).arg(&words[1..]).query(node).context("a node of the Redis Cluster")?;
        if is_wanted(&answer) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the Redis Cluster does not form: {answer}");
        sleep(LOOK_EVERY);
    }
}
