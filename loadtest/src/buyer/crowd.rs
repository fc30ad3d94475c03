//! All buyers at once.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures_util::stream::{FuturesUnordered, TryStreamExt};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::sleep,
};
use v1_naive::shop::sales::now_ms;

use super::{
    click::{Next, ask, click, open_page, open_sale},
    client::{Connection, Link},
    progress::Progress,
    waiting_room::{Waiting, WaitingRoom},
};
use crate::verdict::history::{Answer, Told};

/// Connections that are being opened at the same time, so that no listen queue overflows before the sale has begun.
const OPENING: usize = 100;
/// How long the buyers of a tab wait who are told to come back before the sale has begun, and how often.
const COMES_BACK: Duration = Duration::from_secs(1);
const COMES_BACK_TIMES: u32 = 5;
/// How long a shop may be away before its buyers go home.
const AWAY: Duration = Duration::from_secs(5);

/// A crowd of buyers, each of whom wants one unit.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    /// The instances of the shop. Each tab has a connection to every one, and each of its requests goes to the next.
    pub shops: Vec<SocketAddr>,
    /// The sales; buyers go to them in turn.
    pub sales: Vec<i64>,
    /// How many buyers.
    pub buyers: usize,
    /// Connections they share. A buyer without one waits for another's to come free.
    pub connections: usize,
    /// Decides the order of the buyers.
    pub seed: u64,
    /// Whether each of them opens the page first, as a browser does.
    pub opens_the_page: bool,
    /// How many of the buyers may have come so far; `None` if nobody is held up.
    pub gate: Option<watch::Receiver<usize>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Stampede {
    /// What each buyer was told.
    pub history: Vec<Told>,
    /// Requests since the barrier.
    pub requests: u64,
    /// When the barrier fell, in milliseconds since 1970.
    pub began_at: i64,
    /// From the barrier to the last answer, be it `queued`.
    pub elapsed: Duration,
}

/// Opens the connections, reads the page on each, takes the steps before the one that takes a unit, calls `at_barrier`, and lets all
/// buyers go.
///
/// # Errors
/// A connection cannot be opened, a sale is unknown, or the shop dies under the crowd.
pub async fn run(crowd: &Crowd, done: Progress, at_barrier: impl AsyncFnOnce()) -> anyhow::Result<Stampede> {
    let mut tabs = open_all(crowd).await?;
    let buyers = line_up(crowd, &mut tabs).await?;
    at_barrier().await;

    let gate = crowd.gate.clone();
    let queue = Arc::new(Queue { buyers, next: 0.into(), requests: 0.into(), done, gate });
    let (barrier, go) = watch::channel(None);
    let mut going = JoinSet::new();
    let (start, began_at) = (Instant::now(), now_ms());
    let waiting_room = WaitingRoom::open(&crowd.shops, start.into(), &queue.done);
    for (tab, line) in tabs.into_iter().zip(waiting_room.lines().into_iter().cycle()) {
        going.spawn(tab.serve(queue.clone(), line, go.clone()));
    }
    barrier.send_replace(Some(start));

    let mut history = Vec::with_capacity(crowd.buyers);
    while let Some(told) = going.join_next().await {
        history.extend(told?);
    }
    let elapsed = start.elapsed();
    history.extend(waiting_room.empty().await?);
    if history.len() < crowd.buyers {
        bail!("the shop went away: {} of {} buyers could not ask", crowd.buyers - history.len(), crowd.buyers);
    }
    Ok(Stampede { history, requests: queue.requests.load(Relaxed), began_at, elapsed })
}

/// The tabs, with the sale's page read on every connection, as a browser would have.
async fn open_all(crowd: &Crowd) -> anyhow::Result<Vec<Tab>> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut tabs = JoinSet::new();
    for n in 0..crowd.connections.min(crowd.buyers) {
        let (shops, sale) = (crowd.shops.clone(), crowd.sales[n % crowd.sales.len()]);
        let (opening, buyers_open_it) = (opening.clone(), crowd.opens_the_page);
        tabs.spawn(async move {
            let _permit = opening.acquire().await?;
            let mut tab = Tab::open(shops, n).await.context("a connection cannot be opened")?;
            // Where each buyer opens the page, the tab itself has nothing to look at.
            for connection in tab.connections.iter_mut().filter(|_| !buyers_open_it) {
                open_sale(connection, sale).await?;
            }
            anyhow::Ok(tab)
        });
    }
    tabs.join_all().await.into_iter().collect()
}

/// A buyer who knows where to buy.
struct Buyer {
    id: i64,
    sale_id: i64,
    link: Link,
}

/// The buyers in the order in which they come; the sales take them in turn.
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
            while !buyer.link.takes_a_unit() {
                match ask(tab.next(), &buyer.link, buyer.id).await {
                    Next::Follow(link) => buyer.link = link,
                    // In preparing there is time to do as one is told.
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

/// The buyers, waiting for a tab to come free.
struct Queue {
    buyers: Vec<Buyer>,
    next: AtomicUsize,
    requests: AtomicU64,
    done: Progress,
    gate: Option<watch::Receiver<usize>>,
}

impl Queue {
    async fn next(&self) -> Option<&Buyer> {
        let n = self.next.fetch_add(1, Relaxed);
        let buyer = self.buyers.get(n)?;
        if let Some(gate) = &self.gate {
            let _ = gate.clone().wait_for(|come| n < *come).await;
        }
        Some(buyer)
    }
}

/// One browser tab, with a connection to each instance.
struct Tab {
    shops: Vec<SocketAddr>,
    connections: Vec<Connection>,
    turn: usize,
}

impl Tab {
    async fn open(shops: Vec<SocketAddr>, turn: usize) -> std::io::Result<Tab> {
        let mut connections = Vec::new();
        for &shop in &shops {
            connections.push(Connection::open(shop).await?);
        }
        Ok(Tab { shops, connections, turn })
    }

    /// The connection whose turn it is, as a load balancer would choose it.
    fn next(&mut self) -> &mut Connection {
        self.turn = (self.turn + 1) % self.connections.len();
        &mut self.connections[self.turn]
    }

    /// Opens the broken connection again, as soon as the shop is back, or takes that to another instance, as a load balancer does
    /// when one is down. Whether there is a connection.
    async fn mend(&mut self) -> bool {
        let given_up = Instant::now() + AWAY;
        while Instant::now() < given_up {
            if let Ok(connection) = Connection::open(self.shops[self.turn]).await {
                self.connections[self.turn] = connection;
                return true;
            }
            if !self.next().is_closed() {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Waits at the barrier, then serves one buyer after the other.
    async fn serve(
        mut self,
        queue: Arc<Queue>,
        waiting: mpsc::UnboundedSender<Waiting>,
        mut go: watch::Receiver<Option<Instant>>,
    ) -> Vec<Told> {
        let mut history = Vec::new();
        let Some(start) = go.wait_for(Option::is_some).await.ok().and_then(|start| *start) else {
            return history; // the run was given up before the barrier
        };
        while let Some(buyer) = queue.next().await {
            if self.next().is_closed() && !self.mend().await {
                break;
            }
            let done = &queue.done;
            let after_fault = done.is_struck();
            done.asking.fetch_add(1, Relaxed);
            let sent = start.elapsed();
            let (answer, requests) = click(&mut self.connections[self.turn], &buyer.link, buyer.id).await;
            queue.requests.fetch_add(requests, Relaxed);
            done.served.fetch_add(1, Relaxed);
            let (queued, confirmed) =
                (matches!(answer, Answer::Queued { .. }), matches!(answer, Answer::Bought { .. }));
            done.bought.fetch_add(usize::from(queued || confirmed), Relaxed);
            done.asking.fetch_sub(1, Relaxed);
            done.settled.fetch_add(usize::from(confirmed), Relaxed);
            if confirmed && after_fault {
                done.confirm();
            }
            let broken = answer == Answer::Unknown;
            // All wanted to buy when the sale began, whenever their turn came.
            let (wanted, answered) = (Duration::ZERO, start.elapsed());
            let told = Told { buyer_id: buyer.id, sale_id: buyer.sale_id, wanted, sent, answered, answer };
            match queued {
                true => drop(waiting.send(Waiting { told, after_fault })),
                false => history.push(told),
            }
            if broken && !self.mend().await {
                break;
            }
        }
        history
    }
}
