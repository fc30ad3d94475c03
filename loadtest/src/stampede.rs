//! The stampede: all buyers at once. Connections are open and the page is read before the barrier; then all go.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    buyer::{buy, open_sale},
    client::{Connection, Link},
    history::{Answer, Told},
};

/// Connections that are being opened at the same time, so that no listen queue overflows before the sale has begun.
const OPENING: usize = 100;

/// A crowd of buyers, each of whom wants one unit.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// The instances of the shop; connections go to them in turn.
    pub shops: Vec<SocketAddr>,
    /// The sales; buyers go to them in turn.
    pub sales: Vec<i64>,
    /// How many buyers.
    pub buyers: usize,
    /// Connections they share. A buyer without one waits for another's to come free.
    pub connections: usize,
    /// Decides the order of the buyers.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Stampede {
    /// What each buyer was told.
    pub history: Vec<Told>,
    /// Requests since the barrier.
    pub requests: u64,
    /// From the barrier to the last answer.
    pub elapsed: Duration,
}

/// Buyers served so far, for whoever shows it.
pub type Progress = Arc<AtomicUsize>;

/// Opens the connections, reads the page on each, calls `at_barrier`, and lets all buyers go.
///
/// # Errors
/// A connection cannot be opened, a sale is unknown, or the shop dies under the crowd.
pub async fn run(crowd: &Crowd, done: Progress, at_barrier: impl AsyncFnOnce()) -> anyhow::Result<Stampede> {
    let links = links(crowd).await?;
    let connections = open_all(crowd).await?;
    at_barrier().await;

    let queue = Arc::new(Queue::new(crowd, links, done));
    let (barrier, go) = watch::channel(None);
    let mut tabs = JoinSet::new();
    for (shop, connection) in connections {
        tabs.spawn(tab(shop, connection, queue.clone(), go.clone()));
    }
    let start = Instant::now();
    barrier.send_replace(Some(start));

    let mut history = Vec::with_capacity(crowd.buyers);
    while let Some(told) = tabs.join_next().await {
        history.extend(told?);
    }
    let elapsed = start.elapsed();
    if history.len() < crowd.buyers {
        bail!("the shop went away: {} of {} buyers could not ask", crowd.buyers - history.len(), crowd.buyers);
    }
    Ok(Stampede { history, requests: queue.requests.load(Relaxed), elapsed })
}

async fn links(crowd: &Crowd) -> anyhow::Result<Vec<Link>> {
    let mut guide = Connection::open(crowd.shops[0]).await.context("the shop does not answer")?;
    let mut links = Vec::new();
    for &sale in &crowd.sales {
        links.push(open_sale(&mut guide, sale).await?);
    }
    Ok(links)
}

/// One connection per tab, with the sale's page read on it, as a browser would have.
async fn open_all(crowd: &Crowd) -> anyhow::Result<Vec<(SocketAddr, Connection)>> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut tabs = JoinSet::new();
    for n in 0..crowd.connections.min(crowd.buyers) {
        let (shop, sale) = (crowd.shops[n % crowd.shops.len()], crowd.sales[n % crowd.sales.len()]);
        let opening = opening.clone();
        tabs.spawn(async move {
            let _permit = opening.acquire().await?;
            let mut connection = Connection::open(shop).await.context("a connection cannot be opened")?;
            open_sale(&mut connection, sale).await?;
            anyhow::Ok((shop, connection))
        });
    }
    tabs.join_all().await.into_iter().collect()
}

/// The buyers, waiting for a connection to come free.
struct Queue {
    /// Ids in the order in which they come.
    ids: Vec<i64>,
    /// Sales and their links; buyers go to them in turn.
    sales: Vec<(i64, Link)>,
    next: AtomicUsize,
    requests: AtomicU64,
    done: Progress,
}

impl Queue {
    fn new(crowd: &Crowd, links: Vec<Link>, done: Progress) -> Self {
        let mut ids: Vec<i64> = (1..=crowd.buyers as i64).collect();
        fastrand::Rng::with_seed(crowd.seed).shuffle(&mut ids);
        let sales = crowd.sales.iter().copied().zip(links).collect();
        Queue { ids, sales, next: 0.into(), requests: 0.into(), done }
    }
}

/// One browser tab: waits at the barrier, then serves one buyer after the other.
async fn tab(
    shop: SocketAddr,
    mut connection: Connection,
    queue: Arc<Queue>,
    mut go: watch::Receiver<Option<Instant>>,
) -> Vec<Told> {
    let mut history = Vec::new();
    let Some(start) = go.wait_for(Option::is_some).await.ok().and_then(|start| *start) else {
        return history; // the run was given up before the barrier
    };
    loop {
        let n = queue.next.fetch_add(1, Relaxed);
        let Some(&buyer_id) = queue.ids.get(n) else {
            return history;
        };
        let (sale_id, link) = &queue.sales[n % queue.sales.len()];
        let (answer, requests) = buy(&mut connection, link, buyer_id).await;
        queue.requests.fetch_add(requests, Relaxed);
        queue.done.fetch_add(1, Relaxed);
        let broken = answer == Answer::Unknown;
        // All wanted to buy when the sale began, whenever their turn came.
        let (wanted, answered) = (Duration::ZERO, start.elapsed());
        history.push(Told { buyer_id, sale_id: *sale_id, wanted, answered, answer });
        if broken {
            match Connection::open(shop).await {
                Ok(another) => connection = another,
                Err(_) => return history,
            }
        }
    }
}
