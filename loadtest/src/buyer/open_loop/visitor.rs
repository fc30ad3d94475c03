//! One visitor of an open loop, and how long it waits.

use std::{
    net::Ipv4Addr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{
    sync::watch,
    time::{sleep_until, timeout},
};

use super::tabs::Tabs;
use crate::{
    buyer::{
        click::{Next, STEPS, ask, buy, open_page},
        client::{Connection, Link},
        progress::Progress,
    },
    verdict::history::Answer,
};

/// The phase of an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Visitors come.
    Come,
    /// No more visitors come. Those who read leave, and those who ask wait for their answer.
    NoneCome,
    /// Visitors without an answer leave.
    GivenUp,
}

/// When visitors leave. Those who have not clicked leave when no more come, and those who wait for an answer leave later.
#[derive(Clone)]
pub(super) struct Until {
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) patience: Duration,
}

impl Until {
    async fn reaches(&self, phase: Phase) {
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }

    /// The result of `work`; `None` if the visitor has left before.
    pub(super) async fn patience_ends<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let left = async {
            self.reaches(Phase::NoneCome).await;
            let _ = timeout(self.patience, self.reaches(Phase::GivenUp)).await;
        };
        tokio::select! {
            done = work => Some(done),
            () = left => None,
        }
    }
}

/// One visitor, before the visit.
pub(super) struct Visitor {
    pub(super) buyer_id: i64,
    pub(super) sale_id: i64,
    pub(super) link: Link,
    pub(super) from: Option<Ipv4Addr>,
    pub(super) opens_the_page: bool,
}

/// One visitor, after the visit.
pub(super) struct Visit {
    pub(super) buyer_id: i64,
    pub(super) sale_id: i64,
    pub(super) due: Instant,
    pub(super) sent: Instant,
    pub(super) answered: Instant,
    /// How much later than due the generator sent the visitor. The shop's time before the click is not included: latency counts it.
    pub(super) lag: Duration,
    pub(super) requests: u64,
    /// `None` if there was no connection to ask on.
    pub(super) answer: Option<Answer>,
}

impl Visitor {
    /// Opens the page at the first of the two moments, clicks at the second, and waits for the answer; `None` if no more may come
    /// before that. A visitor holds a connection while it asks, and none while it reads.
    pub(super) async fn visit(
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
                () = until.reaches(Phase::NoneCome) => return None,
            }
        }
        let sent = Instant::now();
        let (answer, requests) = match read {
            Ok(()) => self.click(&tabs, &until).await,
            Err(early) => early,
        };
        progress.served.fetch_add(1, Relaxed);
        let answered = Instant::now();
        answer.iter().for_each(|answer| progress.told(answer, answered.saturating_duration_since(due)));
        let Visitor { buyer_id, sale_id, .. } = self;
        Some(Visit { buyer_id, sale_id, due, sent, answered, lag, requests, answer })
    }

    /// Buys. Also returns the number of requests.
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

    /// Takes the steps before the one that takes a unit. The error is the answer of a visit that does not get that far, and the number of
    /// its requests.
    async fn read(&mut self, tabs: &Tabs, until: &Until) -> Result<(), (Option<Answer>, u64)> {
        if self.link.takes_a_unit() && !self.opens_the_page {
            return Ok(());
        }
        let (mut connection, _place) = tabs.take(self.from, until).await.map_err(|answer| (answer, 0))?;
        let steps = until.patience_ends(self.take_steps(&mut connection)).await;
        tabs.keep(connection);
        match steps {
            Some(true) => Ok(()),
            Some(false) => Err((Some(Answer::Unknown), STEPS as u64)),
            None => Err((Some(Answer::Unknown), 0)),
        }
    }

    /// Returns false if the shop asks for more than [`STEPS`].
    async fn take_steps(&mut self, connection: &mut Connection) -> bool {
        if self.opens_the_page {
            let _ = open_page(connection, self.sale_id, self.buyer_id).await; // what is wrong with it, the click tells
        }
        for _ in 0..STEPS {
            if self.link.takes_a_unit() {
                return true;
            }
            match ask(connection, &self.link, self.buyer_id).await {
                Next::Follow(next) => self.link = next,
                Next::Told(_) => return true, // it is asked again with the click
            }
        }
        self.link.takes_a_unit()
    }
}
