//! Buyers who come when a schedule says so, whether or not the last one was served.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, sleep_until},
};

use super::{
    arrivals::{Arrivals, LATE},
    click::{Next, ask, buy, open_page, open_sale},
    client::{Connection, Link},
    progress::Progress,
    schedule::Schedule,
};
use crate::verdict::history::{Answer, Told};

mod tabs;

use self::tabs::Tabs;

/// Buyers who come on a schedule: the next one comes whether or not the last one has been served, so that a slow shop
/// cannot slow the question down. Their latency counts from when they were due.
#[derive(Debug, Clone)]
pub struct Visitors {
    /// The instances of the shop. Each connection is to the next.
    pub shops: Vec<SocketAddr>,
    /// What they want; they go to the sales in turn.
    pub sales: Vec<i64>,
    /// The first one's id; the others count on from there.
    pub first_buyer: i64,
    /// When they open the page.
    pub schedule: Schedule,
    /// Decides where the schedule leaves it to chance.
    pub seed: u64,
    /// The addresses they come from, in turn; each from its own if there are none.
    pub from: Vec<Ipv4Addr>,
    /// Connections they may have open. A visitor who finds none free is dropped, and counted as such.
    pub connections: usize,
    /// How long each has the sale's page open before it clicks: time to log in, or to ask for the address to buy at.
    pub reads: Duration,
    /// Whether each of them opens the page with all that it refers to, as a browser does.
    pub opens_the_page: bool,
    /// How long they wait once no more come. Who has no answer then does not know.
    pub patience: Duration,
    /// Counts who has an answer.
    pub progress: Progress,
}

/// What came of an open loop.
#[derive(Debug, Default)]
pub struct Visits {
    /// What each visitor was told who asked. Times count from the first click.
    pub history: Vec<Told>,
    /// How many were planned, and how many of them the generator missed.
    pub arrivals: Arrivals,
    /// By how much the generator sent each of them later than was due.
    pub lags: Vec<Duration>,
    /// Requests sent from the click on.
    pub requests: u64,
}

/// The visits of those who come on a thread of their own.
pub type Coming = oneshot::Receiver<anyhow::Result<Visits>>;

impl Visitors {
    /// Buyers of one sale at a steady rate, each from an address of its own, who click at once and wait for their answer for a minute.
    pub fn steady(shops: &[SocketAddr], sale_id: i64, rate: f64) -> Visitors {
        Visitors {
            shops: shops.to_vec(),
            sales: vec![sale_id],
            first_buyer: 1,
            schedule: Schedule::steady(rate),
            seed: 1,
            from: Vec::new(),
            connections: 1000,
            reads: Duration::ZERO,
            opens_the_page: false,
            patience: Duration::from_secs(60),
            progress: Progress::default(),
        }
    }

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

    /// Lets them come until the schedule ends or `stop` says so; returns what each was told, and who was missed.
    ///
    /// # Errors
    /// The shop does not answer, or does not know a sale.
    pub async fn come(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Visits> {
        let tabs = Arc::new(Tabs::new(self.shops, self.connections));
        let mut first = tabs.open().await?;
        let mut links = Vec::new();
        for &sale in &self.sales {
            links.push((sale, open_sale(&mut first, sale).await?));
        }
        tabs.keep(first);
        let (leave, leaving) = watch::channel(false);
        let until = Until { stop: leaving, patience: self.patience };
        let (mut coming, mut came) = (JoinSet::new(), Vec::new());
        let start = Instant::now();
        let clicks = start + self.reads;
        let mut due = self.schedule.due(self.seed).zip(self.first_buyer..);
        let mut next = due.next();
        while let Some((opens, buyer_id)) = next {
            if !reached(start + opens, &mut stop).await {
                break;
            }
            while let Some(visit) = coming.try_join_next() {
                came.push(visit?);
            }
            let n = (buyer_id - self.first_buyer) as usize;
            let (sale_id, link) = links[n % links.len()].clone();
            let from = self.from.get(n % self.from.len().max(1)).copied();
            let visitor = Visitor { buyer_id, sale_id, link, from, opens_the_page: self.opens_the_page };
            let (opens, due_at) = (start + opens, clicks + opens);
            coming.spawn(visitor.visit(tabs.clone(), (opens, due_at), until.clone(), self.progress.clone()));
            next = due.next();
        }
        if next.is_none() {
            // All have come, and the last of them still reads. Who is sent late is still sent.
            reached(clicks + self.schedule.lasts() + LATE, &mut stop).await;
        }
        let ended = Instant::now();
        leave.send_replace(true);
        came.extend(coming.join_all().await);
        // The generator can be so far behind that it has not even noticed who was due.
        let unnoticed = next.into_iter().chain(due).map(|(opens, _)| clicks + opens);
        let unnoticed = unnoticed.take_while(|due| *due <= ended).count();
        let (came, left): (Vec<_>, Vec<_>) = came.into_iter().flatten().partition(|visit| visit.answer.is_some());
        let dropped = unnoticed + left.iter().filter(|visit| visit.due <= ended).count();
        let lags: Vec<_> = came.iter().map(|visit| visit.lag).collect();
        let late = lags.iter().filter(|lag| **lag > LATE).count();
        let since = |at: Instant| at.saturating_duration_since(clicks);
        let told = |Visit { buyer_id, sale_id, due, sent, answered, answer, .. }| {
            let (wanted, sent, answered) = (since(due), since(sent), since(answered));
            answer.map(|answer| Told { buyer_id, sale_id, wanted, sent, answered, answer })
        };
        Ok(Visits {
            arrivals: Arrivals { planned: came.len() + dropped, dropped, late },
            lags,
            requests: came.iter().map(|visit| visit.requests).sum(),
            history: came.into_iter().filter_map(told).collect(),
        })
    }
}

/// Waits until then; `false` if `stop` says so before.
async fn reached(then: Instant, stop: &mut watch::Receiver<bool>) -> bool {
    if then <= Instant::now() {
        return !*stop.borrow();
    }
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => false,
        () = sleep_until(then.into()) => true,
    }
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

/// One visitor, before the visit.
struct Visitor {
    buyer_id: i64,
    sale_id: i64,
    link: Link,
    from: Option<Ipv4Addr>,
    opens_the_page: bool,
}

/// One visitor's way.
struct Visit {
    buyer_id: i64,
    sale_id: i64,
    due: Instant,
    sent: Instant,
    answered: Instant,
    /// By how much the generator sent it later than was due. Time that the shop takes on the way to the click is not in it: latency
    /// counts from when the click was due.
    lag: Duration,
    requests: u64,
    /// `None` if there was no connection to ask on.
    answer: Option<Answer>,
}

impl Visitor {
    /// Opens the page at the first of the two moments, clicks at the second, and waits for the answer; `None` if no more may come
    /// before that. A visitor holds a connection while it asks, and none while it reads.
    async fn visit(
        mut self,
        tabs: Arc<Tabs>,
        (opens, due): (Instant, Instant),
        until: Until,
        progress: Progress,
    ) -> Option<Visit> {
        let mut lag = opens.elapsed();
        let mut read = Ok(());
        if due > Instant::now() {
            read = self.read(&tabs, &until).await;
        }
        if due > Instant::now() && read.is_ok() {
            tokio::select! {
                biased;
                () = sleep_until(due.into()) => lag = lag.max(due.elapsed()),
                () = until.stopped() => return None,
            }
        }
        let sent = Instant::now();
        let (answer, requests) = match read {
            Ok(()) => self.click(&tabs, &until).await,
            Err(answer) => (answer, 0),
        };
        progress.served.fetch_add(1, Relaxed);
        let Visitor { buyer_id, sale_id, .. } = self;
        Some(Visit { buyer_id, sale_id, due, sent, answered: Instant::now(), lag, requests, answer })
    }

    /// Buys; returns the requests that it took, too.
    async fn click(&self, tabs: &Tabs, until: &Until) -> (Option<Answer>, u64) {
        let (mut connection, _place) = match tabs.take(self.from, until).await {
            Ok(taken) => taken,
            Err(answer) => return (answer, 0),
        };
        let bought = until.patience_ends(buy(&mut connection, &self.link, self.buyer_id)).await;
        let (answer, requests) = bought.unwrap_or((Answer::Unknown, 1));
        if !matches!(answer, Answer::Unknown) {
            tabs.keep(connection);
        }
        (Some(answer), requests)
    }

    /// Takes the steps before the one that takes a unit. The error is the answer of a visit that does not get that far.
    async fn read(&mut self, tabs: &Tabs, until: &Until) -> Result<(), Option<Answer>> {
        if self.link.takes_a_unit() && !self.opens_the_page {
            return Ok(());
        }
        let (mut connection, _place) = tabs.take(self.from, until).await?;
        let steps = until.patience_ends(self.take_steps(&mut connection)).await;
        tabs.keep(connection);
        steps.ok_or(Some(Answer::Unknown))
    }

    async fn take_steps(&mut self, connection: &mut Connection) {
        if self.opens_the_page {
            let _ = open_page(connection, self.sale_id, self.buyer_id).await; // what is wrong with it, the click tells
        }
        while !self.link.takes_a_unit() {
            match ask(connection, &self.link, self.buyer_id).await {
                Next::Follow(next) => self.link = next,
                Next::Told(_) => break, // it is asked again with the click
            }
        }
    }
}
