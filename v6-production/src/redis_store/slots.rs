//! The slots of a Redis Cluster: which slot a key has, and which primary has which slots.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// The number of slots of every Redis Cluster.
const SLOTS: u16 = 16_384;

/// Host and port of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

/// The slot of a key: a checksum of the key, or of the part between the first braces in it.
pub(super) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the specification of Redis Cluster demands.
fn crc16(text: &str) -> u16 {
    text.bytes().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

/// What a node says of one node of the cluster, in one line of `CLUSTER NODES`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NodeLine {
    pub(super) address: Address,
    /// The config epoch: of two nodes that claim a slot, the one with the higher epoch has it.
    epoch: u64,
    slots: Vec<RangeInclusive<u16>>,
}

/// The nodes in the answer to `CLUSTER NODES`. A node may not know its own host; it is `asked`, where it was asked.
pub(super) fn nodes(answer: &str, asked: &Address) -> Vec<NodeLine> {
    answer.lines().filter_map(|line| node(line, asked)).collect()
}

/// A line is `id host:port@bus,name flags primary ping pong config-epoch link slots…`.
fn node(line: &str, asked: &Address) -> Option<NodeLine> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, at, flags, _, _, _, epoch, _, slots @ ..] = words.as_slice() else { return None };
    let (at, named) = at.split_once('@')?;
    let (ip, port) = at.rsplit_once(':')?;
    // A certificate is for the name.
    let name = named.split(',').nth(1).filter(|name| !name.is_empty());
    let host = name.or(Some(ip).filter(|ip| !ip.is_empty())).unwrap_or(&asked.host);
    let address = Address { host: host.into(), port: port.parse().ok().filter(|port| *port > 0)? };
    let is_gone = flags.split(',').any(|flag| ["noaddr", "handshake"].contains(&flag));
    // A slot that is being moved is also named in brackets, which says nothing about who has it.
    let slots = slots.iter().filter_map(|slots| range(slots)).collect();
    (!is_gone).then_some(NodeLine { address, epoch: epoch.parse().ok()?, slots })
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok().filter(|last| *last < SLOTS)?)
}

/// The owners of all slots: the last slot of each range with its primary, in order. A slot that no primary has belongs to the range
/// after it; that primary refuses its keys. Nodes may disagree after a failover, so for each slot the highest config epoch counts,
/// as in the cluster itself. Empty if no node claims a slot.
pub(super) fn owners(nodes: &[NodeLine]) -> Vec<(u16, Address)> {
    let mut owner: Vec<Option<&NodeLine>> = vec![None; usize::from(SLOTS)];
    for node in nodes {
        for slot in node.slots.iter().cloned().flatten() {
            let known = &mut owner[usize::from(slot)];
            if known.is_none_or(|known| known.epoch < node.epoch) {
                *known = Some(node);
            }
        }
    }
    let mut ranges: BTreeMap<u16, &Address> = BTreeMap::new();
    for (slot, node) in (0..SLOTS).zip(&owner).filter_map(|(slot, owner)| Some((slot, (*owner)?))) {
        if let Some((&last, &address)) = ranges.last_key_value()
            && address == &node.address
        {
            ranges.remove(&last);
        }
        ranges.insert(slot, &node.address);
    }
    ranges.into_iter().map(|(last, address)| (last, address.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn keys_have_the_slots_that_redis_computes() {
        // From the specification, and from `CLUSTER KEYSLOT`.
        assert_eq!(crc16("123456789"), 0x31C3);
        assert_eq!((slot("foo"), slot("a{foo}b"), slot("{}foo")), (12182, 12182, 9500));
        assert_eq!(slot("oversold:{sale:1}:held"), slot("oversold:{sale:1}:new:7:sale"));
    }

    #[test]
    fn the_higher_epoch_has_a_slot_whoever_says_so() {
        let asked = address("10.0.0.9", 7009);
        let before = "a :7001@17001 myself,master - 0 0 1 connected 0-8191 [93-<-b]\n\
                      b 10.0.0.2:7002@17002,shard-b master - 0 5 2 connected 8192-16383\n\
                      c 10.0.0.3:7003@17003 slave a 0 5 1 connected\n\
                      d :0@0 master,noaddr - 0 5 9 disconnected 0-16383\n";
        let before = nodes(before, &asked);
        assert_eq!(before.len(), 3, "a node without an address is none");
        let [a, b, c] = [address("10.0.0.9", 7001), address("shard-b", 7002), address("10.0.0.3", 7003)];
        assert_eq!(owners(&before), [(8191, a), (16383, b.clone())]);

        // The replica was promoted, and the old primary does not know it yet.
        let after = nodes("c 10.0.0.3:7003@17003 myself,master - 0 0 3 connected 0-92 94-8191\n", &asked);
        let all: Vec<_> = before.into_iter().chain(after).collect();
        let owners = owners(&all);
        assert_eq!(owners.iter().map(|(last, _)| *last).collect::<Vec<_>>(), [92, 93, 8191, 16383]);
        assert_eq!((&owners[0].1, &owners[2].1, &owners[3].1), (&c, &c, &b));
        assert!(super::owners(&[]).is_empty());
    }
}
