//! Redis Cluster: a master on each machine, and a replica of another machine's master.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, bail};
use redis::Connection;
use url::Url;

use super::{MACHINES, Part, TO_BE_HEALTHY, machine::Machine, network::ip, wait_until};
use crate::lab::servers::Server;

/// The ports of the two servers of each machine.
pub(super) const PORTS: [u16; 2] = [6379, 6380];
/// How many slots a cluster has.
const SLOTS: u16 = 16384;
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server of the cluster, as another one tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: String,
    /// The id of its master, if it is a replica.
    pub(super) master: Option<String>,
    pub(super) machine: u8,
    pub(super) port: u16,
    /// `master`, `slave`, `fail`, … as Redis says it.
    pub(super) flags: Vec<String>,
    /// The slots of a master: first and last of each range.
    pub(super) slots: Vec<(u16, u16)>,
}

/// Writes the settings. A replica counts as good enough for a failover however long it was cut off: a shop notices what it lacks,
/// and rebuilds the sale from SQL.
pub(super) fn prepare(machine: &Machine, part: Part) -> anyhow::Result<()> {
    let folder = machine.folder_of(part);
    fs::create_dir_all(&folder)?;
    fs::write(
        folder.join("redis.conf"),
        format!(
            "bind {} 127.0.0.1\n\
             port {}\n\
             protected-mode no\n\
             cluster-enabled yes\n\
             cluster-node-timeout 2000\n\
             cluster-require-full-coverage no\n\
             cluster-allow-replica-migration no\n\
             cluster-replica-validity-factor 0\n\
             repl-diskless-sync-delay 0\n\
             repl-timeout 5\n\
             appendonly yes\n\
             appendfsync everysec\n\
             save \"\"\n\
             maxmemory-policy noeviction\n\
             daemonize no\n",
            machine.ip(),
            port_of(part)
        ),
    )?;
    Ok(())
}

pub(super) fn command(programs: &Path) -> Command {
    let mut command = Command::new(programs.join("redis-server"));
    command.arg("redis.conf");
    command
}

/// The folder of the program.
pub(super) fn programs() -> anyhow::Result<std::path::PathBuf> {
    Server::Redis.programs()
}

/// The masters as they are at first. A client learns the others from them.
pub(super) fn urls() -> anyhow::Result<Vec<Url>> {
    all().map(|(machine, port)| Ok(format!("redis://{}:{port}/", ip(machine)).parse()?)).collect()
}

/// Makes one cluster of the six servers: each machine's replica follows the master of the machine before it.
pub(super) fn form() -> anyhow::Result<()> {
    wait_until("Redis", || all().try_for_each(|(machine, port)| connect(machine, port).map(drop)).map(|()| true))?;
    for (epoch, (machine, port)) in (1..).zip(all()) {
        if port == PORTS[0] {
            let (first, last) = share(machine);
            patiently(machine, port, &["ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
        }
        patiently(machine, port, &["SET-CONFIG-EPOCH", &epoch.to_string()])?; // only before it knows others
    }
    for (machine, port) in all().skip(1) {
        patiently(1, PORTS[0], &["MEET", &ip(machine).to_string(), &port.to_string()])?;
    }
    let know = |(machine, port)| Ok(nodes_from(machine, port)?.len() == all().count());
    wait_until("Redis Cluster", || {
        all().map(know).try_fold(true, |so_far, one: anyhow::Result<bool>| Ok(so_far && one?))
    })?;
    for machine in 1..=MACHINES {
        let before = (machine + MACHINES - 2) % MACHINES + 1;
        let id = patiently(before, PORTS[0], &["MYID"])?;
        wait_until("a replica of Redis", || Ok(cluster(machine, PORTS[1], &["REPLICATE", &id]).is_ok()))?;
    }
    Ok(())
}

/// Whether all six servers work, all slots are served, and each replica has its master's data.
pub(super) fn is_healthy() -> anyhow::Result<bool> {
    for (machine, port) in all() {
        let mut redis = connect(machine, port)?;
        let cluster: String = redis::cmd("CLUSTER").arg("INFO").query(&mut redis)?;
        let replication: String = redis::cmd("INFO").arg("replication").query(&mut redis)?;
        let follows = replication.contains("role:master") || replication.contains("master_link_status:up");
        let is_whole = cluster.contains("cluster_state:ok") && cluster.contains("cluster_slots_ok:16384");
        let nodes = nodes_from(machine, port)?;
        let works = |node: &Node| !node.flags.iter().any(|flag| flag.starts_with("fail") || flag == "handshake");
        if !follows || !is_whole || nodes.len() != all().count() || !nodes.iter().all(works) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes each machine's first server a master again, after a failover. Otherwise one machine has two masters, and its end would
/// leave no majority. Repeats the order: a master ignores it right after a server has come back.
pub(super) fn fail_back() -> anyhow::Result<()> {
    wait_until("Redis Cluster", || {
        let nodes = nodes()?;
        let wrong: Vec<&Node> = nodes
            .iter()
            .filter(|node| node.port == PORTS[0] && !node.flags.iter().any(|flag| flag == "master"))
            .collect();
        for node in &wrong {
            let _ = cluster(node.machine, node.port, &["FAILOVER"]);
        }
        if !wrong.is_empty() {
            std::thread::sleep(PATIENCE / 2);
        }
        Ok(wrong.is_empty())
    })
}

/// The servers, as the first one that answers tells.
pub(super) fn nodes() -> anyhow::Result<Vec<Node>> {
    let told = all().find_map(|(machine, port)| nodes_from(machine, port).ok());
    told.context("no server of the Redis Cluster answers")
}

/// The master that serves a key.
pub(super) fn master_of(key: &str) -> anyhow::Result<Node> {
    let slot = slot_of(key)?;
    let holds = |node: &Node| {
        !node.flags.iter().any(|flag| flag == "fail")
            && node.slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
    };
    nodes()?.into_iter().find(holds).with_context(|| format!("no master serves slot {slot}"))
}

/// The slot of a key.
pub(super) fn slot_of(key: &str) -> anyhow::Result<u16> {
    let ask = |(machine, port)| {
        anyhow::Ok(redis::cmd("CLUSTER").arg("KEYSLOT").arg(key).query(&mut connect(machine, port)?)?)
    };
    all().find_map(|at| ask(at).ok()).context("no server of the Redis Cluster answers")
}

/// How many failovers there have been, or other changes of who serves a slot.
pub(super) fn epoch() -> anyhow::Result<u64> {
    let info = all().find_map(|(machine, port)| cluster(machine, port, &["INFO"]).ok());
    let info = info.context("no server of the Redis Cluster answers")?;
    let epoch = info.lines().find_map(|line| line.strip_prefix("cluster_current_epoch:")?.trim().parse().ok());
    epoch.context("Redis Cluster does not tell its epoch")
}

/// Sends a `CLUSTER` command and returns its answer.
pub(super) fn cluster(machine: u8, port: u16, args: &[&str]) -> anyhow::Result<String> {
    let said = redis::cmd("CLUSTER").arg(args).query(&mut connect(machine, port)?);
    said.with_context(|| format!("CLUSTER {} at {}:{port}", args.join(" "), ip(machine)))
}

/// The same while the cluster is formed: no server is missing, and all of them start at the same time.
fn patiently(machine: u8, port: u16, args: &[&str]) -> anyhow::Result<String> {
    let said = redis::cmd("CLUSTER").arg(args).query(&mut connect_within(TO_BE_HEALTHY, machine, port)?);
    said.with_context(|| format!("CLUSTER {} at {}:{port}", args.join(" "), ip(machine)))
}

/// Connects to one of the servers.
pub(super) fn connect(machine: u8, port: u16) -> anyhow::Result<Connection> {
    connect_within(PATIENCE, machine, port)
}

fn connect_within(patience: Duration, machine: u8, port: u16) -> anyhow::Result<Connection> {
    let client = redis::Client::open(format!("redis://{}:{port}/", ip(machine)))?;
    let connection = client.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    Ok(connection)
}

/// Which of a machine's servers listens on this port.
pub(super) fn part_at(port: u16) -> Part {
    if port == PORTS[0] { Part::Redis } else { Part::RedisReplica }
}

fn port_of(part: Part) -> u16 {
    PORTS[usize::from(part == Part::RedisReplica)]
}

/// All servers, the masters first.
fn all() -> impl Iterator<Item = (u8, u16)> {
    PORTS.into_iter().flat_map(|port| (1..=MACHINES).map(move |machine| (machine, port)))
}

/// The slots of a machine's master at first: a third of all.
fn share(machine: u8) -> (u16, u16) {
    let bound = |n: u8| (u32::from(SLOTS) * u32::from(n) / u32::from(MACHINES)) as u16;
    (bound(machine - 1), bound(machine) - 1)
}

fn nodes_from(machine: u8, port: u16) -> anyhow::Result<Vec<Node>> {
    cluster(machine, port, &["NODES"])?.lines().map(parse).collect()
}

/// Parses a line of `CLUSTER NODES`: id, address, flags, master, two times, epoch, link, and the slots. A slot that is about to
/// move is in brackets.
fn parse(line: &str) -> anyhow::Result<Node> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [id, address, flags, master, _, _, _, _, slots @ ..] = fields.as_slice() else {
        bail!("CLUSTER NODES says {line}")
    };
    let address = address.split(['@', ',']).next().unwrap_or_default();
    let (host, port) = address.rsplit_once(':').context("a node without a port")?;
    let machine = host.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let slots = slots.iter().filter(|range| !range.starts_with('[')).map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Ok((first.parse()?, last.parse()?))
    });
    Ok(Node {
        id: (*id).into(),
        master: (*master != "-").then(|| (*master).to_owned()),
        machine,
        port: port.parse()?,
        flags: flags.split(',').map(str::to_owned).collect(),
        slots: slots.collect::<anyhow::Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_share_all_slots() {
        assert_eq!([1, 2, 3].map(share), [(0, 5460), (5461, 10921), (10922, 16383)]);
    }

    #[test]
    fn a_node_is_read_from_its_line_with_its_slots() {
        let node =
            parse("07c3 10.77.0.2:6379@16379 myself,master - 0 1426238317000 4 connected 5461-5999 6001 [6000->-292f]")
                .unwrap();
        assert_eq!((node.machine, node.port, node.flags), (2, 6379, vec!["myself".into(), "master".into()]));
        assert_eq!(node.slots, [(5461, 5999), (6001, 6001)]);
    }
}
