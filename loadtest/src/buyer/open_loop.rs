//! Buyers who come at a rate, whether or not the last one was served.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use nix::errno::Errno;
use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, sleep, sleep_until},
};

use super::{
    arrivals::{Arrivals, is_late},
    click::{Next, ask, buy, open_sale},
    client::{Connection, Link},
};
use crate::verdict::history::{Answer, Told};

/// Buyers who come at a steady rate: the next one comes whether or not the last one has been served, so that a slow shop
/// cannot slow the question down. Their latency counts from when they were due.
#[derive(Debug, Clone)]
pub struct Visitors {
    /// The instances of the shop. Each connection is to the next.
    pub shops: Vec<SocketAddr>,
    /// What they want.
    pub sale_id: i64,
    /// The first one's id; the others count on from there.
    pub first_buyer: i64,
    /// How many a second.
    pub rate: f64,
    /// The addresses they come from, in turn; each from its own if there are none.
    pub from: Vec<Ipv4Addr>,
    /// Connections they may have open. A visitor who finds none free is dropped, and counted as such.
    pub connections: usize,
    /// How long each has the sale's page open before it clicks: time to log in, or to ask for the address to buy at.
    pub reads: Duration,
    /// How long they wait once no more come. Who has no answer then does not know.
    pub patience: Duration,
}

/// What came of an open loop.
#[derive(Debug, Default)]
pub struct Visits {
    /// What each visitor was told who asked.
    pub history: Vec<Told>,
    /// How many were planned, and how many of them the generator missed.
    pub arrivals: Arrivals,
}

/// The visits of those who come on a thread of their own.
pub type Coming = oneshot::Receiver<anyhow::Result<Visits>>;

impl Visitors {
    /// As [`Visitors::come`], on a thread of their own: whoever is measured must not stand in line with the crowd on our side
    /// of the wire.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn come_apart(self, stop: watch::Receiver<bool>) -> anyhow::Result<Coming> {
        let (done, coming) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("visitors".into()).spawn(move || {
            let _ = done.send(runtime.block_on(self.come(stop)));
        })?;
        Ok(coming)
    }

    /// Lets them come until `stop` says so; returns what each was told, and who was missed.
    ///
    /// # Errors
    /// The shop does not answer, or does not know the sale.
    pub async fn come(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Visits> {
        let tabs = Arc::new(Tabs { idle: Mutex::default(), shops: self.shops, turn: 0.into() });
        let mut first = tabs.open().await?;
        let link = open_sale(&mut first, self.sale_id).await?;
        tabs.keep(first);
        let until = Until { stop: stop.clone(), patience: self.patience };
        let period = Duration::from_secs_f64(1.0 / self.rate);
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let start = ticks.tick().await.into_std();
        let (mut coming, mut came, mut dropped) = (JoinSet::new(), Vec::new(), Vec::new());
        let mut next = start + period + self.reads;
        for n in 0.. {
            let opens = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                tick = ticks.tick() => tick.into_std(),
            };
            let due = opens + self.reads;
            next = due + period;
            while let Some(visit) = coming.try_join_next() {
                came.extend(visit?);
            }
            if coming.len() >= self.connections {
                dropped.push(due);
                continue;
            }
            let from = self.from.get(n % self.from.len().max(1)).copied();
            let buyer_id = self.first_buyer + n as i64;
            coming.spawn(visit(tabs.clone(), from, link.clone(), buyer_id, (opens, due), until.clone()));
        }
        let ended = Instant::now();
        came.extend(coming.join_all().await.into_iter().flatten());
        // The generator can be so far behind that it has not even noticed who was due.
        dropped.extend(std::iter::successors(Some(next), |due| Some(*due + period)).take_while(|due| *due <= ended));
        let (came, without): (Vec<_>, Vec<_>) = came.into_iter().partition(|visit| visit.answer.is_some());
        dropped.extend(without.iter().map(|visit| visit.due));
        dropped.retain(|due| *due <= ended);
        let late = came.iter().filter(|visit| visit.late).count();
        let arrivals = Arrivals { planned: came.len() + dropped.len(), dropped: dropped.len(), late };
        let told = |Visit { buyer_id, due, answered, answer, .. }| {
            let (wanted, answered) = (due - start, answered - start);
            answer.map(|answer| Told { buyer_id, sale_id: self.sale_id, wanted, answered, answer })
        };
        Ok(Visits { history: came.into_iter().filter_map(told).collect(), arrivals })
    }
}

/// Connections that are open and of no use to anybody right now.
struct Tabs {
    idle: Mutex<Vec<Connection>>,
    shops: Vec<SocketAddr>,
    turn: AtomicUsize,
}

impl Tabs {
    /// A connection to the instance whose turn it is.
    async fn open(&self) -> io::Result<Connection> {
        Connection::open(self.shops[self.turn.fetch_add(1, Relaxed) % self.shops.len()]).await
    }

    /// One that is free, or a new one.
    async fn free(&self) -> io::Result<Connection> {
        let free = self.idle.lock().ok().and_then(|mut idle| idle.pop());
        match free {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    fn keep(&self, connection: Connection) {
        let _ = self.idle.lock().map(|mut idle| idle.push(connection));
    }
}

/// Whether this machine has no connection left to give. A shop that refuses one is another matter.
fn is_out_of_connections(error: &io::Error) -> bool {
    let ours = [Errno::EMFILE, Errno::ENFILE, Errno::EADDRNOTAVAIL, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|code| ours.contains(&Errno::from_raw(code)))
}

/// When visitors leave: those who still read when no more come, and those who wait for an answer a while after that.
#[derive(Clone)]
struct Until {
    stop: watch::Receiver<bool>,
    patience: Duration,
}

impl Until {
    async fn stopped(&self) {
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// The result of `work`; `None` if the visitor has left before.
    async fn patience_ends<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let left = async {
            self.stopped().await;
            sleep(self.patience).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = left => None,
        }
    }
}

/// One visitor's way.
struct Visit {
    buyer_id: i64,
    due: Instant,
    answered: Instant,
    late: bool,
    /// `None` if there was no connection to ask on.
    answer: Option<Answer>,
}

/// Opens the page at the first of the two moments, clicks at the second, and waits for the answer; `None` if no more may come
/// before that.
///
/// Late is a visitor whom the generator sends late. A visitor whom the shop keeps waiting on the way to the click is not: the
/// time counts as the shop's, because latency counts from when the click was due.
async fn visit(
    tabs: Arc<Tabs>,
    from: Option<Ipv4Addr>,
    mut link: Link,
    buyer_id: i64,
    (opens, due): (Instant, Instant),
    until: Until,
) -> Option<Visit> {
    let mut late = is_late(opens);
    let ends = |late, answer| Some(Visit { buyer_id, due, answered: Instant::now(), late, answer });
    let unknown = Some(Answer::Unknown);
    let mut connection = match until.patience_ends(tabs.free()).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) if is_out_of_connections(&error) => return ends(late, None),
        Some(Err(_)) | None => return ends(late, unknown),
    };
    connection.from = from;
    if due > Instant::now() {
        if until.patience_ends(read(&mut connection, &mut link, buyer_id)).await.is_none() {
            return ends(late, unknown);
        }
        if due > Instant::now() {
            tokio::select! {
                biased;
                () = sleep_until(due.into()) => late |= is_late(due),
                () = until.stopped() => return None,
            }
        }
    }
    let Some((answer, _)) = until.patience_ends(buy(&mut connection, &link, buyer_id)).await else {
        return ends(late, unknown);
    };
    if !matches!(answer, Answer::Unknown) {
        tabs.keep(connection);
    }
    ends(late, Some(answer))
}

/// Takes the steps before the one that takes a unit.
async fn read(connection: &mut Connection, link: &mut Link, buyer_id: i64) {
    while !link.takes_a_unit() {
        match ask(connection, link, buyer_id).await {
            Next::Follow(next) => *link = next,
            Next::Told(_) => break, // it is asked again with the click
        }
    }
}
