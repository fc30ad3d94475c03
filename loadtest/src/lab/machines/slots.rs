//! Who serves which slots of the Redis Cluster, changed on purpose.

use anyhow::Context;

use super::{
    network::ip,
    redis::{Node, cluster, connect, master_of, nodes, slot_of},
    wait_until,
};

/// How long the move of some keys may take, in milliseconds.
const TO_MOVE: u32 = 5000;
/// How many keys are moved at once.
const KEYS: u32 = 10;

/// Moves the slot of a key to a master of another machine, as an operator does: keys go one batch after the other, while the slot
/// is served by both.
pub(super) fn move_slot(key: &str) -> anyhow::Result<(u16, u8)> {
    let (slot, from) = (slot_of(key)?, master_of(key)?);
    let masters: Vec<Node> = nodes()?.into_iter().filter(|node| !node.slots.is_empty()).collect();
    let to = masters.iter().find(|node| node.machine != from.machine).context("there is no other master")?;
    let number = slot.to_string();
    let set = |node: &Node, how: &[&str]| cluster(node.machine, node.port, &[&["SETSLOT", &number], how].concat());
    set(to, &["IMPORTING", &from.id])?;
    set(&from, &["MIGRATING", &to.id])?;
    let mut source = connect(from.machine, from.port)?;
    loop {
        let keys = redis::cmd("CLUSTER").arg("GETKEYSINSLOT").arg(slot).arg(KEYS).query::<Vec<String>>(&mut source)?;
        if keys.is_empty() {
            break;
        }
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg(ip(to.machine).to_string()).arg(to.port).arg("").arg(0).arg(TO_MOVE);
        migrate.arg("REPLACE").arg("KEYS").arg(keys).query::<()>(&mut source)?;
    }
    // The new master first: it raises its epoch, so that all others believe it.
    for node in [to, &from].into_iter().chain(masters.iter().filter(|node| **node != from && *node != to)) {
        set(node, &["NODE", &to.id])?;
    }
    Ok((slot, to.machine))
}

/// Closes the replica's connection. A password that it does not know keeps it from coming back; clients that are connected stay.
pub(super) fn separate_replica(key: &str) -> anyhow::Result<()> {
    let master = master_of(key)?;
    let mut redis = connect(master.machine, master.port)?;
    redis::cmd("CONFIG").arg(&["SET", "requirepass", "separated"]).query::<()>(&mut redis)?;
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "replica"]).query::<()>(&mut redis)?;
    Ok(())
}

/// Makes the replicas of a machine's masters take over, without a loss.
pub(super) fn fail_over_from(machine: u8) -> anyhow::Result<()> {
    wait_until("Redis Cluster", || {
        let nodes = nodes()?;
        let masters = nodes.iter().filter(|node| node.machine == machine && !node.slots.is_empty());
        let mut leads = false;
        for master in masters {
            leads = true;
            let replica = nodes.iter().find(|node| node.master.as_ref() == Some(&master.id)).context("no replica")?;
            cluster(replica.machine, replica.port, &["FAILOVER"])?;
        }
        if leads {
            std::thread::sleep(std::time::Duration::from_millis(500)); // an order takes effect within that
        }
        Ok(!leads)
    })
}
