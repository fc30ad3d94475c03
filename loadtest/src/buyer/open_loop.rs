//! The open-loop generator: buyers come when a schedule says so, whether or not the last one was served.

use std::{
    net::{Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
    task::JoinSet,
    time::sleep_until,
};

use super::{
    arrivals::{Arrivals, LATE},
    click::open_sale,
    client::Link,
    crowd::stopped_early,
    ending::Ending,
    progress::Progress,
    schedule::Schedule,
};
use crate::verdict::{history::Told, threshold::early::Early};

mod tabs;
mod visitor;

use self::{
    tabs::Tabs,
    visitor::{Phase, Until, Visit, Visitor},
};

/// Buyers who come on a schedule: the next one comes whether or not the last one has been served, so that a slow shop
/// cannot slow the question down. Their latency counts from when they were due.
#[derive(Debug, Clone)]
pub struct Visitors {
    /// The instances of the shop. New connections are opened to them in turn.
    pub shops: Vec<SocketAddr>,
    /// The sales. Visitors are assigned to them in turn.
    pub sales: Vec<i64>,
    /// The id of the first visitor. The others follow it.
    pub first_buyer: i64,
    /// When they open the page.
    pub schedule: Schedule,
    /// The seed of random arrivals.
    pub seed: u64,
    /// The client addresses, in turn. If empty, each visitor has its own.
    pub from: Vec<Ipv4Addr>,
    /// The most connections. A visitor who finds none free is dropped and counted as dropped.
    pub connections: usize,
    /// How long before the click a visitor opens the page. In this time it logs in and gets its purchase URL.
    pub reads: Duration,
    /// Whether each visitor loads the page with its static files, as a browser does.
    pub opens_the_page: bool,
    /// How long visitors wait after the last arrival. Without an answer by then, their result is unknown.
    pub patience: Duration,
    /// The counters of the crowd.
    pub progress: Progress,
    /// What sends the visitors home who have not come yet.
    pub early: Early,
}

/// The result of an open loop.
#[derive(Debug, Default)]
pub struct Visits {
    /// The answers of the visitors who asked. Times count from the first click.
    pub history: Vec<Told>,
    /// How many visitors were planned, and how many of them the generator dropped or sent late.
    pub arrivals: Arrivals,
    /// How much later than due the generator sent each visitor.
    pub lags: Vec<Duration>,
    /// The number of requests from the click on.
    pub requests: u64,
    /// From the first click until no more visitors came.
    pub lasted: Duration,
    /// The threshold that kept the last visitors from coming, in words; `None` if there is none.
    pub stopped: Option<String>,
}

/// The result of visitors on a thread of their own.
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
            early: Early::default(),
        }
    }

    /// As [`Visitors::come`], on a thread of its own. The crowd on the other threads then cannot delay the visitors who are measured.
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

    /// Sends visitors until the schedule ends, `stop` is true, a threshold is certain to fail or the user ends the run. Returns the answers
    /// and the arrivals.
    ///
    /// # Errors
    /// The shop does not answer, or does not know a sale.
    pub async fn come(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Visits> {
        let (tabs, ending) = (Arc::new(Tabs::new(self.shops, self.connections)), self.progress.ending.clone());
        let links = tokio::select! {
            links = open_sales(&tabs, &self.sales) => links?,
            () = ending.requested() => return Ok(Visits::default()),
        };
        let (leave, leaving) = watch::channel(Phase::Come);
        let until = Until { phase: leaving, patience: self.patience };
        let (mut coming, mut came) = (JoinSet::new(), Vec::new());
        let start = Instant::now();
        let clicks = start + self.reads;
        let mut due = self.schedule.due(self.seed).zip(self.first_buyer..);
        let (mut next, mut stopped) = (due.next(), None);
        while let Some((opens, buyer_id)) = next {
            if !reached(start + opens, &mut stop, &ending).await {
                break;
            }
            while let Some(visit) = coming.try_join_next() {
                came.push(visit?);
            }
            stopped = stopped_early(&self.early, &self.progress);
            if stopped.is_some() {
                break;
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
            reached(clicks + self.schedule.lasts() + LATE, &mut stop, &ending).await;
        }
        let ended = Instant::now();
        leave.send_replace(Phase::NoneCome);
        let mut left = pin!(coming.join_all());
        came.extend(tokio::select! {
            left = &mut left => left,
            () = ending.given_up() => {
                leave.send_replace(Phase::GivenUp);
                left.await
            }
        });
        // The generator can be so far behind that it has not even noticed who was due. Whom a threshold keeps from coming, it does not miss.
        let next = next.filter(|_| stopped.is_none());
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
            lasted: since(ended),
            stopped,
            requests: came.iter().map(|visit| visit.requests).sum(),
            history: came.into_iter().filter_map(told).collect(),
        })
    }
}

/// Reads the sales on the first connection, and returns them with their purchase links.
async fn open_sales(tabs: &Tabs, sales: &[i64]) -> anyhow::Result<Vec<(i64, Link)>> {
    let mut first = tabs.open().await?;
    let mut links = Vec::new();
    for &sale in sales {
        links.push((sale, open_sale(&mut first, sale).await?));
    }
    tabs.keep(first);
    Ok(links)
}

/// Waits until `then`. Returns false if `stop` becomes true or the user ends the run before that.
async fn reached(then: Instant, stop: &mut watch::Receiver<bool>, ending: &Ending) -> bool {
    if then <= Instant::now() {
        return !*stop.borrow() && ending.requested_at().is_none();
    }
    tokio::select! {
        biased;
        _ = stop.wait_for(|stop| *stop) => false,
        () = ending.requested() => false,
        () = sleep_until(then.into()) => true,
    }
}
