//! The closed-loop generator: all buyers start at the same moment and share a fixed number of connections.

use std::{
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use tokio::{
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use v1_naive::shop::sales::now_ms;

use super::{
    click::{Next, PATIENCE, STEPS, ask, open_page, open_sale},
    client::Link,
    progress::{Counts, Progress},
    waiting_room::WaitingRoom,
};
use crate::{
    render::text::thousands,
    verdict::{
        history::{Answer, Told},
        threshold::early::Early,
    },
};

mod tab;

use self::tab::Tab;

/// Connections that are opened at the same time. The limit keeps the listen queue from overflowing before the sale begins.
const OPENING: usize = 100;
/// How long a tab waits after a `429` before the sale begins, and how often it tries again.
const COMES_BACK: Duration = Duration::from_secs(1);
const COMES_BACK_TIMES: u32 = 5;

/// A crowd of buyers, each of whom wants one unit.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    /// The instances of the shop. Each tab has a connection to every instance and uses them in turn.
    pub shops: Vec<SocketAddr>,
    /// The sales. Buyers are assigned to them in turn.
    pub sales: Vec<i64>,
    /// How many buyers.
    pub buyers: usize,
    /// Connections that the buyers share. A buyer without a connection waits until one is free.
    pub connections: usize,
    /// The seed that shuffles the order of the buyers.
    pub seed: u64,
    /// Whether each buyer opens the page first, as a browser does.
    pub opens_the_page: bool,
    /// How many buyers may start so far; `None` if all may start at once.
    pub gate: Option<watch::Receiver<usize>>,
    /// What sends the buyers home who have not asked yet.
    pub early: Early,
}

/// The result of a run.
#[derive(Debug)]
pub struct Stampede {
    /// The last answer to each buyer.
    pub history: Vec<Told>,
    /// Requests after the barrier opened.
    pub requests: u64,
    /// When the barrier opened, in milliseconds since 1970.
    pub began_at: i64,
    /// Time from the barrier to the last answer to a click. `queued` counts as an answer.
    pub elapsed: Duration,
    /// Why the last buyers did not ask: the user, a threshold, or a shop that no longer answers. `None` if all did.
    pub stopped: Option<String>,
}

/// Runs the crowd. Opens the connections, reads the sale on each, and follows the links up to the one that takes a unit. Then
/// calls `at_barrier` and lets all buyers click.
///
/// # Errors
/// A connection cannot be opened, a sale does not exist, or a buyer gets no purchase link.
pub async fn run(crowd: &Crowd, done: Progress, at_barrier: impl AsyncFnOnce()) -> anyhow::Result<Stampede> {
    let mut tabs = open_all(crowd).await?;
    let buyers = line_up(crowd, &mut tabs).await?;
    at_barrier().await;
    done.begin();

    let (gate, early) = (crowd.gate.clone(), crowd.early.clone());
    let queue = Arc::new(Queue { buyers, next: 0.into(), requests: 0.into(), done, gate, early });
    let (barrier, go) = watch::channel(None);
    let (mut going, mut stays) = (JoinSet::new(), Vec::new());
    let (start, began_at) = (Instant::now(), now_ms());
    let waiting_room = WaitingRoom::open(&crowd.shops, start.into(), &queue.done);
    for (tab, line) in tabs.into_iter().zip(waiting_room.lines().into_iter().cycle()) {
        let (stay, leave) = oneshot::channel();
        stays.push(stay);
        going.spawn(tab.serve(queue.clone(), line, go.clone(), leave));
    }
    barrier.send_replace(Some(start));

    let mut history = Vec::with_capacity(crowd.buyers);
    let mut given_up = pin!(queue.done.ending.given_up());
    loop {
        tokio::select! {
            told = going.join_next() => match told {
                Some(told) => history.extend(told?),
                None => break,
            },
            () = &mut given_up, if !stays.is_empty() => stays.clear(),
        }
    }
    let elapsed = start.elapsed();
    history.extend(waiting_room.empty().await?);
    let missing = crowd.buyers - history.len();
    // A run that was ended when its last buyers still waited has asked everybody, and yet lacks their answers.
    let stopped = match queue.stopped() {
        Some(why) => Some(why).filter(|_| missing > 0 || queue.done.ended().is_some()),
        None => (missing > 0).then(|| "the shop stopped answering".into()),
    };
    let stopped = stopped.map(|why| self::stopped(why, missing));
    Ok(Stampede { history, requests: queue.requests.load(Relaxed), began_at, elapsed, stopped })
}

/// Why a run was stopped, and how many buyers did not come because of it.
pub(crate) fn stopped(why: String, missing: usize) -> String {
    match missing {
        0 => why,
        missing => format!("{why}; {} buyers did not ask", thousands(missing as i64)),
    }
}

/// The threshold that stops a run with these counters, in words; `None` if none does.
pub(super) fn stopped_early(early: &Early, done: &Counts) -> Option<String> {
    let threshold = early.certain(done.yes.load(Relaxed), done.errors.load(Relaxed))?;
    Some(format!("stopped early by {threshold}"))
}

/// Opens the tabs and reads the sale on every connection, as a browser does.
async fn open_all(crowd: &Crowd) -> anyhow::Result<Vec<Tab>> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut tabs = JoinSet::new();
    for n in 0..crowd.connections.min(crowd.buyers) {
        let (shops, sale) = (crowd.shops.clone(), crowd.sales[n % crowd.sales.len()]);
        let (opening, buyers_open_it) = (opening.clone(), crowd.opens_the_page);
        tabs.spawn(async move {
            let _permit = opening.acquire().await?;
            let opened = timeout(PATIENCE, Tab::open(shops, n)).await.context("a connection takes too long to open")?;
            let mut tab = opened.context("cannot open a connection")?;
            // If each buyer opens the page, the tab itself does not have to.
            for connection in tab.connections.iter_mut().filter(|_| !buyers_open_it) {
                open_sale(connection, sale).await?;
            }
            anyhow::Ok(tab)
        });
    }
    tabs.join_all().await.into_iter().collect()
}

/// A buyer with its next link.
#[derive(Debug, Clone)]
pub struct Buyer {
    /// The buyer's number.
    pub id: i64,
    /// The sale of the link.
    pub sale_id: i64,
    /// The next request.
    pub link: Link,
}

/// Follows the links of all buyers up to the one that takes a unit, and returns the buyers with that link.
///
/// # Errors
/// As [`run`].
pub async fn prepare(crowd: &Crowd) -> anyhow::Result<Vec<Buyer>> {
    line_up(crowd, &mut open_all(crowd).await?).await
}

/// Shuffles the buyers, assigns them to the sales in turn, and follows their links up to the one that takes a unit.
async fn line_up(crowd: &Crowd, tabs: &mut [Tab]) -> anyhow::Result<Vec<Buyer>> {
    let mut ids: Vec<i64> = (1..=crowd.buyers as i64).collect();
    fastrand::Rng::with_seed(crowd.seed).shuffle(&mut ids);
    let mut links = Vec::new();
    for &sale in &crowd.sales {
        links.push((sale, open_sale(tabs[0].next(), sale).await?));
    }
    let line = ids.into_iter().zip(links.iter().cycle());
    let mut buyers: Vec<_> = line.map(|(id, &(sale_id, ref link))| Buyer { id, sale_id, link: link.clone() }).collect();
    let per_tab = buyers.len().div_ceil(tabs.len());
    let asking = buyers.chunks_mut(per_tab).zip(tabs).map(async |(buyers, tab)| {
        let mut patience = COMES_BACK_TIMES;
        for buyer in buyers {
            if crowd.opens_the_page {
                open_page(tab.next(), buyer.sale_id, buyer.id).await?;
            }
            let mut steps = 0;
            while !buyer.link.takes_a_unit() {
                ensure!(steps < STEPS, "buyer {} gets no purchase URL after {STEPS} steps", buyer.id);
                match ask(tab.next(), &buyer.link, buyer.id).await {
                    Next::Follow(link) => (buyer.link, steps) = (link, steps + 1),
                    // Before the sale begins there is time to respect `Retry-After`.
                    Next::Told(Answer::Refused(kind)) if kind == "rate-limited" && patience > 0 => {
                        patience -= 1;
                        sleep(COMES_BACK).await;
                    }
                    Next::Told(answer) => bail!("buyer {} gets no address: {}", buyer.id, answer.kind()),
                }
            }
        }
        Ok(())
    });
    asking.collect::<FuturesUnordered<_>>().try_collect::<()>().await?;
    Ok(buyers)
}

/// The buyers who wait for a free tab.
struct Queue {
    buyers: Vec<Buyer>,
    next: AtomicUsize,
    requests: AtomicU64,
    done: Progress,
    gate: Option<watch::Receiver<usize>>,
    early: Early,
}

impl Queue {
    /// Why no more buyers may come: the user has ended the run, or a threshold stops it. `None` while they may.
    fn stopped(&self) -> Option<String> {
        self.done.ended().or_else(|| stopped_early(&self.early, &self.done))
    }

    async fn next(&self) -> Option<&Buyer> {
        if self.stopped().is_some() {
            return None;
        }
        let n = self.next.fetch_add(1, Relaxed);
        let buyer = self.buyers.get(n)?;
        if let Some(gate) = &self.gate {
            let _ = gate.clone().wait_for(|come| n < *come).await;
        }
        Some(buyer).filter(|_| self.done.ending.requested_at().is_none())
    }
}
