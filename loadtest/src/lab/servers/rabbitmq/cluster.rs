use std::{path::Path, thread};

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::{
    super::process::{Process, private_folder},
    Node, names, programs,
};

/// The number of nodes.
const NODES: usize = 3;
/// What all nodes are set to. A node without the majority stops. A node that is lost without a word is given up after 5 s.
const SETTINGS: &str = "cluster_formation.peer_discovery_backend = classic_config\n\
                        cluster_formation.discovery_retry_limit = 2\n\
                        cluster_formation.target_cluster_size_hint = 3\n\
                        cluster_partition_handling = pause_minority\n\
                        net_ticktime = 5\n";

/// Starts three nodes in parallel, which find each other by their names, and waits until they are one cluster.
pub(in super::super) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Vec<Process>> {
    let folder = folder.join("rabbitmq");
    private_folder(&folder)?;
    let names = names(&folder)?;
    let mut nodes: Vec<Node> = (1..=NODES).map(|number| Node::new(folder.join(number.to_string()), &names)).collect();
    let all: Vec<String> = nodes.iter().map(|node| node.name.clone()).collect();
    let (cookie, password) = (nodes[0].cookie.clone(), nodes[0].password.clone());
    for node in &mut nodes {
        private_folder(&node.folder)?;
        (node.cookie, node.password) = (cookie.clone(), password.clone());
        node.settings = SETTINGS.into();
        for (number, name) in (1..).zip(&all) {
            node.settings += &format!("cluster_formation.classic_config.nodes.{number} = {name}\n");
        }
        node.arguments = "-kernel net_setuptime 2";
    }
    let started: Vec<_> = thread::scope(|scope| {
        let starting: Vec<_> = nodes.iter().map(|node| scope.spawn(|| node.start(programs))).collect();
        starting.into_iter().map(|thread| thread.join()).collect()
    });
    let started = started.into_iter().map(|node| node.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    let mut started: Vec<Process> = started.collect::<anyhow::Result<_>>()?;
    control(&started[0], &["await_online_nodes", "3", "--timeout", "60"])?;
    started[NODES - 1].needs = Some(Box::new(names));
    Ok(started)
}

/// A queue, as `rabbitmqctl` lists it.
#[derive(Deserialize)]
struct Queue {
    name: String,
    leader: String,
    members: Vec<String>,
}

/// The number of the node where a queue has its leader, and on how many nodes the queue is.
pub(in super::super) fn leader(nodes: &[Process], queue: &str) -> anyhow::Result<(usize, usize)> {
    let running = nodes.iter().find(|node| node.is_running()).context("no node of RabbitMQ runs")?;
    let listed = control(running, &["--quiet", "--formatter", "json", "list_queues", "name", "leader", "members"])?;
    let queues: Vec<Queue> = serde_json::from_str(&listed)?;
    let found = queues.into_iter().find(|found| found.name == queue);
    let found = found.with_context(|| format!("there is no queue {queue}"))?;
    let leader = nodes.iter().position(|node| name(node) == found.leader);
    let leader = leader.context("the leader is not one of these nodes")?;
    Ok((leader, found.members.len()))
}

/// The node's name, from its environment.
fn name(node: &Process) -> String {
    let environment = node.companion(Path::new("rabbitmqctl"));
    let name = environment.get_envs().find(|(key, _)| *key == "RABBITMQ_NODENAME").and_then(|(_, name)| name);
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs `rabbitmqctl` at this node, and returns what it prints.
fn control(node: &Process, command: &[&str]) -> anyhow::Result<String> {
    let programs = programs().context("rabbitmqctl is gone")?;
    let done = node.companion(&programs.join("rabbitmqctl")).args(command).output()?;
    ensure!(done.status.success(), "rabbitmqctl failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8(done.stdout)?)
}
