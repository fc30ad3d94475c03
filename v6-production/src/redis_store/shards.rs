//! The primaries of Redis: one server, or one for each shard of a Redis Cluster.
//!
//! Of a cluster, this module only knows which primary has which slot. It follows no `MOVED` and no `ASK`, and it repeats nothing.
//! After an error it asks the nodes again who has which slot, and the caller asks again, as after every other refusal. A driver that
//! repeats a script by itself could return the refusal of the second call, although the first one has reserved a unit.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::Duration,
};

use anyhow::{Context, ensure};
use redis::{RedisResult, aio::ConnectionManagerConfig};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use url::Url;

use super::{
    shared::{Changes, SharedConnection},
    slots::{Address, NodeLine, nodes, owners, slot},
};

/// How often the nodes are asked who has which slot. After an error they are asked at once.
const EVERY: Duration = Duration::from_secs(1);
/// The shortest pause between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// How long all nodes may take to answer. What has arrived until then counts.
const PATIENCE: Duration = Duration::from_millis(500);

/// The last slot of each range, and the primary that has the range, in the order of the slots.
type Owners = Arc<[(u16, SharedConnection)]>;

/// The primaries. Cheap to clone.
#[derive(Clone)]
pub(super) struct Shards {
    owners: Arc<RwLock<Owners>>,
    changes: Arc<Changes>,
}

impl Shards {
    /// The shards that these URLs lead to: one URL is one server, several are nodes of a cluster. The other nodes are found, and
    /// have the password of the first URL.
    ///
    /// # Errors
    /// A URL is wrong, no node of the cluster answers, or no primary has a slot.
    pub(super) async fn open(urls: &[Url], config: ConnectionManagerConfig) -> anyhow::Result<Shards> {
        let changes = Arc::<Changes>::default();
        let url = urls.first().context("REDIS_URL is empty")?.clone();
        let open = |url| SharedConnection::lazy(url, &config, &changes);
        let seeds: Vec<SharedConnection> = urls.iter().map(open).collect::<RedisResult<_>>().context("REDIS_URL")?;
        let first: Owners = seeds.iter().take(1).map(|server| (u16::MAX, server.clone())).collect();
        let shards = Shards { owners: Arc::new(RwLock::new(first)), changes: changes.clone() };
        if urls.len() > 1 {
            let known = seeds.into_iter().map(|node| (node.address().clone(), node)).collect();
            let mut nodes = Nodes { url, config, changes, known };
            shards.set(nodes.owners().await?);
            tokio::spawn(nodes.follow(Arc::downgrade(&shards.owners)));
        }
        Ok(shards)
    }

    /// The primary that has this key.
    pub(super) fn of(&self, key: &str) -> SharedConnection {
        let owners = self.owners();
        if let [(_, only)] = &*owners {
            return only.clone();
        }
        let slot = slot(key);
        let at = owners.partition_point(|(last, _)| *last < slot).min(owners.len() - 1);
        owners[at].1.clone()
    }

    /// All primaries, each once, in the order of their first slots.
    pub(super) fn all(&self) -> Vec<SharedConnection> {
        let mut all: Vec<SharedConnection> = Vec::new();
        for (_, shard) in self.owners().iter() {
            if !all.contains(shard) {
                all.push(shard.clone());
            }
        }
        all
    }

    /// Receives a value whenever a connection was replaced or a slot has another owner.
    pub(super) fn changed(&self) -> watch::Receiver<u64> {
        self.changes.replaced.subscribe()
    }

    /// Asks the nodes soon who has which slot.
    pub(super) fn doubt(&self) {
        self.changes.doubted.notify_one();
    }

    /// Sets the owners, and tells the listeners if they have changed.
    fn set(&self, found: Owners) {
        let mut owners = self.owners.write().unwrap_or_else(PoisonError::into_inner);
        if *owners != found {
            *owners = found;
            self.changes.tell();
        }
    }

    fn owners(&self) -> Owners {
        self.owners.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All nodes of a cluster that were ever named, and how to connect to another one.
struct Nodes {
    /// A URL with the password.
    url: Url,
    config: ConnectionManagerConfig,
    changes: Arc<Changes>,
    known: BTreeMap<Address, SharedConnection>,
}

impl Nodes {
    /// Keeps the owners up to date, as long as someone needs them.
    async fn follow(mut self, owners: Weak<RwLock<Owners>>) {
        loop {
            let _ = timeout(EVERY, self.changes.doubted.notified()).await;
            if owners.strong_count() == 0 {
                return;
            }
            match self.owners().await {
                Ok(found) => {
                    let Some(owners) = owners.upgrade() else { return };
                    Shards { owners, changes: self.changes.clone() }.set(found);
                }
                Err(error) => tracing::debug!("nobody says who has which slot: {error:#}"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks all nodes who has which slot.
    ///
    /// # Errors
    /// No node answers, or no primary has a slot.
    async fn owners(&mut self) -> anyhow::Result<Owners> {
        let lines = self.ask().await?;
        for line in &lines {
            self.node(line.address.clone())?; // a replica is asked, too: it may be the only one left
        }
        let found = owners(&lines);
        ensure!(!found.is_empty(), "no node of the Redis Cluster has a slot");
        let connected = found.into_iter().map(|(last, address)| Ok((last, self.node(address)?)));
        connected.collect()
    }

    /// The lines of all nodes that answer in time.
    async fn ask(&self) -> anyhow::Result<Vec<NodeLine>> {
        let mut asking = JoinSet::new();
        for (address, node) in &self.known {
            let (address, mut node) = (address.clone(), node.clone());
            asking.spawn(async move {
                let answer: RedisResult<String> = redis::cmd("CLUSTER").arg("NODES").query_async(&mut node).await;
                answer.map(|answer| nodes(&answer, &address))
            });
        }
        let (mut lines, mut failed) = (Vec::new(), None);
        let gathering = async {
            while let Some(Ok(answer)) = asking.join_next().await {
                match answer {
                    Ok(some) => lines.extend(some),
                    Err(error) => failed = Some(error),
                }
            }
        };
        let _ = timeout(PATIENCE, gathering).await;
        asking.detach_all(); // the late ones go on, so that a silent node's connection is replaced
        match failed {
            Some(error) if lines.is_empty() => Err(error).context("no node of the Redis Cluster answers"),
            _ => Ok(lines),
        }
    }

    /// The connection to a node, also to one that was not known before.
    fn node(&mut self, address: Address) -> anyhow::Result<SharedConnection> {
        if let Some(known) = self.known.get(&address) {
            return Ok(known.clone());
        }
        let mut url = self.url.clone();
        let host = if address.host.contains(':') { format!("[{}]", address.host) } else { address.host.clone() };
        url.set_host(Some(&host))?;
        ensure!(url.set_port(Some(address.port)).is_ok(), "{url} takes no port");
        let new = SharedConnection::lazy(&url, &self.config, &self.changes)?;
        Ok(self.known.entry(address).or_insert(new).clone())
    }
}
