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

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Addresses that get nothing, from a file with an address or a network in each line and remarks after `#`. Changed while the
/// shop runs, it counts within a second or so.
pub struct BlockList {
    file: PathBuf,
    networks: RwLock<Vec<IpNet>>,
}

impl BlockList {
    /// Reads the file and keeps looking at it for as long as the list is in use.
    ///
    /// # Errors
    /// It cannot be read, or a line is neither an address nor a network; with the number of the line.
    pub fn open(file: &Path) -> anyhow::Result<Arc<BlockList>> {
        let seen = changed(file);
        let networks = read(file).with_context(|| format!("BLOCK_LIST {}", file.display()))?;
        let list = Arc::new(BlockList { file: file.to_owned(), networks: RwLock::new(networks) });
        tokio::spawn(follow(Arc::downgrade(&list), seen));
        Ok(list)
    }

    /// Whether this client is on it.
    pub fn contains(&self, client: IpAddr) -> bool {
        self.networks.read().is_ok_and(|networks| networks.iter().any(|network| network.contains(&client)))
    }
}

/// Reads the list again whenever the file has changed. A list that cannot be read changes nothing: neither are all let
/// in, nor all kept out.
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
                tracing::info!(networks = networks.len(), "block list read");
                *current = networks;
            }
            (Err(error), _) => tracing::warn!("block list left as it was: {error:#}"),
            (_, Err(_)) => {}
        }
    }
}

/// What is different once the file has been written.
fn changed(file: &Path) -> Option<(SystemTime, u64)> {
    let about: io::Result<_> = fs::metadata(file).and_then(|about| Ok((about.modified()?, about.len())));
    about.ok()
}

fn read(file: &Path) -> anyhow::Result<Vec<IpNet>> {
    let mut networks = Vec::new();
    for (n, line) in fs::read_to_string(file)?.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if !entry.is_empty() {
            networks.push(network(entry).map_err(|why| anyhow::anyhow!("line {}: {why}", n + 1))?);
        }
    }
    Ok(networks)
}
