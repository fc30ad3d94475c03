use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, RwLock, Weak},
    time::{Duration, SystemTime},
};

use anyhow::Context;
use ipnet::IpNet;

use super::client::network;

/// How often the file is checked for changes.
const EVERY: Duration = Duration::from_secs(1);

/// Blocked IP addresses, from a file with one address or network in each line, and comments after `#`. A new file takes effect within
/// about a second. Replace it by renaming another one, because a half-written file is read as it is.
pub struct BlockList {
    file: PathBuf,
    networks: RwLock<Ranges>,
}

impl BlockList {
    /// Reads the file, and checks it for changes as long as the list is in use.
    ///
    /// # Errors
    /// The file cannot be read, or a line is neither an IP address nor a network. The error names the line.
    pub fn open(file: &Path) -> anyhow::Result<Arc<BlockList>> {
        let seen = changed(file);
        let networks = read(file).with_context(|| format!("BLOCK_LIST {}", file.display()))?;
        let list = Arc::new(BlockList { file: file.to_owned(), networks: RwLock::new(networks) });
        tokio::spawn(follow(Arc::downgrade(&list), seen));
        Ok(list)
    }

    /// Whether this client is on the list.
    pub fn contains(&self, client: IpAddr) -> bool {
        self.networks.read().is_ok_and(|networks| networks.contains(client))
    }
}

/// Reads the file again whenever it has changed. If it cannot be read, the last list stays in effect.
async fn follow(list: Weak<BlockList>, mut seen: Option<(SystemTime, u64)>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let Some(list) = list.upgrade() else { return };
        let now = changed(&list.file);
        if now == seen {
            continue;
        }
        seen = now;
        match (read(&list.file), list.networks.write()) {
            (Ok(networks), Ok(mut current)) => {
                tracing::info!(ranges = networks.0.len(), "block list read");
                *current = networks;
            }
            (Err(error), _) => tracing::warn!("block list left as it was: {error:#}"),
            (_, Err(_)) => {}
        }
    }
}

/// The time and the size of the file, which differ after the file was written.
fn changed(file: &Path) -> Option<(SystemTime, u64)> {
    let about: io::Result<_> = fs::metadata(file).and_then(|about| Ok((about.modified()?, about.len())));
    about.ok()
}

/// Networks as sorted ranges of IP addresses that do not overlap, for a binary search: a list of a million lines takes twenty
/// steps.
#[derive(Debug, Default)]
struct Ranges(Vec<(IpAddr, IpAddr)>);

impl Ranges {
    fn of(mut networks: Vec<IpNet>) -> Ranges {
        networks.sort_unstable_by_key(IpNet::network);
        let mut ranges: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(networks.len());
        for network in networks {
            let (first, last) = (network.network(), network.broadcast());
            match ranges.last_mut() {
                // Two networks are either nested or disjoint.
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => ranges.push((first, last)),
            }
        }
        Ranges(ranges)
    }

    fn contains(&self, client: IpAddr) -> bool {
        let before = self.0.partition_point(|(first, _)| *first <= client);
        before.checked_sub(1).is_some_and(|at| client <= self.0[at].1)
    }
}

fn read(file: &Path) -> anyhow::Result<Ranges> {
    let mut networks = Vec::new();
    for (n, line) in fs::read_to_string(file)?.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            networks.push(network(entry).map_err(|why| anyhow::anyhow!("line {}: {why}", n + 1))?);
        }
    }
    Ok(Ranges::of(networks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_what_their_networks_contain() {
        let lines =
            ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "192.0.2.8/31", "2001:db8::/32", "203.0.113.0/24", "0.0.0.0/32"];
        let networks: Vec<IpNet> = lines.iter().map(|line| network(line).unwrap()).collect();
        let ranges = Ranges::of(networks.clone());
        for client in [
            "9.255.255.255",
            "10.0.0.0",
            "10.1.2.3",
            "10.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "192.0.2.7",
            "192.0.2.8",
            "192.0.2.9",
            "192.0.2.10",
            "203.0.113.255",
            "203.0.114.0",
            "0.0.0.0",
            "0.0.0.1",
            "255.255.255.255",
            "::",
            "2001:db7:ffff::",
            "2001:db8::1",
            "2001:db9::",
        ] {
            let client: IpAddr = client.parse().unwrap();
            let expected = networks.iter().any(|network| network.contains(&client));
            assert_eq!(ranges.contains(client), expected, "{client}");
        }
        assert!(!Ranges::default().contains("10.0.0.1".parse().unwrap()));
    }
}
