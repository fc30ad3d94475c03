//! Clients that call a way directly, and what they were told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::way::{Answer, Client, Opened, Stock};

/// How long a call that is under way at the end may take.
const GRACE: Duration = Duration::from_secs(10);
/// Who has to ask again waits for a random time up to this, doubled each time (full jitter).
const FIRST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(16);

/// How many ask for a unit, and for how long.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Load {
    /// The number of clients. Each asks for one buyer after the other.
    pub clients: usize,
    /// The number of buyers. Each asks once for one unit, and again after [`Answer::Again`].
    pub attempts: i64,
    /// The first buyer's number.
    pub first: i64,
    /// The numbers of two neighbouring buyers differ by this, since other processes have those in between.
    pub step: i64,
    /// No buyer begins to ask later than this.
    pub at_most: Duration,
    /// Whether a client that fails is replaced, so that the load outlasts a server's restart. Otherwise it ends the load.
    pub outlasts_errors: bool,
}

impl Load {
    /// The load of one process which ends at the first error.
    pub fn new(clients: usize, attempts: i64, at_most: Duration) -> Load {
        Load { clients, attempts, first: 0, step: 1, at_most, outlasts_errors: false }
    }
}

/// What the buyers of one process were told.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Told {
    /// Item and buyer of each unit.
    pub taken: Vec<(i64, i64)>,
    /// Refused buyers of each item.
    pub refused: BTreeMap<i64, i64>,
    /// Item and buyer of each question without an answer.
    pub unknown: Vec<(i64, i64)>,
    /// How often a buyer had to ask again.
    pub again: u64,
    /// From the start to the last unit.
    pub selling: Duration,
    /// How long each buyer with a unit waited for it. Not sent between processes.
    #[serde(skip)]
    pub waited: Vec<Duration>,
    /// Why the load ended early; `None` if it did not.
    pub failed: Option<String>,
}

impl Told {
    /// Whether any buyer was told yes or no.
    pub fn is_answered(&self) -> bool {
        !self.taken.is_empty() || !self.refused.is_empty()
    }

    /// Adds what others were told.
    pub fn add(&mut self, other: Told) {
        self.taken.extend(other.taken);
        self.unknown.extend(other.unknown);
        self.waited.extend(other.waited);
        for (item, buyers) in other.refused {
            *self.refused.entry(item).or_default() += buyers;
        }
        self.again += other.again;
        self.selling = self.selling.max(other.selling);
        self.failed = self.failed.take().or(other.failed);
    }
}

/// What the clients of one load share.
pub struct Counts {
    next: AtomicI64,
    ended: AtomicBool,
    /// One permit for each unit that was taken, for a caller who waits for them.
    pub taken: Semaphore,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts { next: AtomicI64::new(0), ended: AtomicBool::new(false), taken: Semaphore::new(0) }
    }
}

/// The clients of a way, which several loads can use one after the other.
pub struct Clients {
    way: Arc<dyn Opened>,
    stock: Stock,
    idle: Vec<Box<dyn Client>>,
}

impl Clients {
    /// No clients yet.
    pub fn of(way: Arc<dyn Opened>, stock: Stock) -> Clients {
        Clients { way, stock, idle: Vec::new() }
    }

    /// Connects clients until there are this many.
    ///
    /// # Errors
    /// A server does not answer.
    pub async fn connect(&mut self, clients: usize) -> anyhow::Result<()> {
        while self.idle.len() < clients {
            self.idle.push(self.way.clone().connect().await?);
        }
        Ok(())
    }

    /// Plays the load to its end.
    ///
    /// # Errors
    /// A server does not answer while the clients connect. A later error is in [`Told::failed`].
    pub async fn play(&mut self, load: Load, counts: &Arc<Counts>) -> anyhow::Result<Told> {
        self.connect(load.clients).await?;
        let all = Arc::new(Mutex::new(Told::default()));
        let mut playing = JoinSet::new();
        let start = Instant::now();
        for client in self.idle.drain(..load.clients) {
            let (way, counts) = (self.way.clone(), counts.clone());
            let one = One { way, client: Some(client), items: self.stock.items, load, start, counts };
            let all = all.clone();
            playing.spawn(async move {
                let (told, client) = one.play().await;
                all.lock().unwrap_or_else(PoisonError::into_inner).add(told);
                client
            });
        }
        while let Some(client) = playing.join_next().await {
            self.idle.extend(client?);
        }
        Ok(std::mem::take(&mut *all.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// One client while it plays.
struct One {
    way: Arc<dyn Opened>,
    client: Option<Box<dyn Client>>,
    items: i64,
    load: Load,
    start: Instant,
    counts: Arc<Counts>,
}

impl One {
    async fn play(mut self) -> (Told, Option<Box<dyn Client>>) {
        let (mut told, load, end) = (Told::default(), self.load, self.start + self.load.at_most);
        while !self.counts.ended.load(Relaxed) && Instant::now() < end {
            let nth = self.counts.next.fetch_add(1, Relaxed);
            if nth >= load.attempts {
                break;
            }
            let buyer = load.first + nth * load.step;
            self.ask(nth % self.items + 1, buyer, end, &mut told).await;
        }
        (told, self.client)
    }

    /// Asks for one unit until there is an answer.
    async fn ask(&mut self, item: i64, buyer: i64, end: Instant, told: &mut Told) {
        let began = Instant::now();
        for tries in 0.. {
            let answer = match self.connected(end).await {
                Ok(client) => {
                    timeout_at(end + GRACE, client.take(item, buyer)).await.unwrap_or_else(|late| Err(late.into()))
                }
                Err(why) => return self.fail(&why, told), // Nothing was asked.
            };
            match answer {
                Ok(Answer::Taken) => {
                    told.waited.push(began.elapsed());
                    told.selling = self.start.elapsed();
                    told.taken.push((item, buyer));
                    self.counts.taken.add_permits(1);
                    return;
                }
                Ok(Answer::SoldOut) => {
                    *told.refused.entry(item).or_default() += 1;
                    return;
                }
                Ok(Answer::Again) if Instant::now() >= end => return,
                Ok(Answer::Again) => {
                    told.again += 1;
                    wait(tries).await;
                }
                Err(why) => {
                    told.unknown.push((item, buyer));
                    return self.fail(&why, told);
                }
            }
        }
    }

    /// The client, or a new one in place of one that has failed.
    async fn connected(&mut self, end: Instant) -> anyhow::Result<&mut Box<dyn Client>> {
        while self.client.is_none() {
            match self.way.clone().connect().await {
                Ok(client) => self.client = Some(client),
                Err(_) if self.load.outlasts_errors && Instant::now() < end => sleep(LONGEST_WAIT).await,
                Err(why) => return Err(why),
            }
        }
        self.client.as_mut().ok_or_else(|| anyhow::anyhow!("no client"))
    }

    fn fail(&mut self, why: &anyhow::Error, told: &mut Told) {
        self.client = None;
        if !self.load.outlasts_errors {
            self.counts.ended.store(true, Relaxed);
            told.failed.get_or_insert(format!("{why:#}"));
        }
    }
}

/// Waits before the next try; not before the second one.
async fn wait(tries: u32) {
    let most = (FIRST_WAIT * 2_u32.saturating_pow(tries)).min(LONGEST_WAIT);
    match tries {
        0 => tokio::task::yield_now().await,
        _ => sleep(most.mul_f64(fastrand::f64())).await,
    }
}
