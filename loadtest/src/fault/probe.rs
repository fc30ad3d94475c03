//! Buyers who come one by one during a fault, and the last wave after it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::stream::{self, StreamExt};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    buyer::{
        click::{click, open_sale, result},
        client::{Connection, Link},
        progress::Progress,
    },
    verdict::history::{Answer, Told},
};

/// The first buyer id of those who come during a fault, above all ids of a crowd.
const PROBES: i64 = 10_000_001;
/// The first buyer id of the last wave.
const LAST_WAVE: i64 = 20_000_001;
/// The most buyers who come one by one: more than fit into the two minutes that a fault may last.
const MOST_PROBES: i64 = 5000;
/// The time between two buyers during a fault, and between two polls of one buyer.
pub(super) const EVERY: Duration = Duration::from_millis(50);
/// The most of these buyers in the queue at the same time, so that a long fault does not use up the stock.
const IN_QUEUE: usize = 8;
/// Buyers of the last wave who buy at the same time.
const CONNECTIONS: usize = 50;
/// How long a buyer waits for the sale's page or for an order's state before it asks another instance.
const FOR_AN_ANSWER: Duration = Duration::from_secs(5);
/// How long a queued buyer polls. Without a result by then, the promised answer is missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// For how long, and how often, a buyer of the last wave asks again who is told to come back. The shop says `Retry-After: 1`.
const COMES_BACK: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The ids of all buyers who may come one by one to a sale with this stock.
pub(super) fn buyers(stock: i64) -> impl Iterator<Item = i64> {
    (PROBES..PROBES + MOST_PROBES).chain(LAST_WAVE..LAST_WAVE + stock)
}

/// Honest buyers who come one by one. Each takes all steps from the page to the order.
#[derive(Clone)]
pub(super) struct Walk {
    pub(super) doors: Arc<[SocketAddr]>,
    pub(super) sale: i64,
    /// When the crowd's barrier opened. Times count from here.
    pub(super) began: Instant,
    pub(super) progress: Progress,
    /// These buyers' orders that are queued.
    pub(super) queued: Arc<AtomicUsize>,
    /// The time between two polls of one buyer.
    pub(super) polls: Duration,
}

impl Walk {
    /// Sends a buyer every 50 ms, whether or not the previous one has an answer. Stops when an order is confirmed or `end`
    /// arrives. Returns all answers; these buyers are audited like any others.
    ///
    /// # Errors
    /// A buyer's task panicked.
    pub(super) async fn probe(self, mut end: oneshot::Receiver<()>) -> anyhow::Result<Vec<Told>> {
        let (mut buyers, mut ticks, mut trying) = (PROBES.., interval(EVERY), JoinSet::new());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Vec::new();
        loop {
            tokio::select! {
                () = self.progress.until_confirmed() => break,
                _ = &mut end => break,
                _ = ticks.tick(), if self.queued.load(Relaxed) < IN_QUEUE => {
                    let (walk, buyer) = (self.clone(), buyers.next().unwrap_or(PROBES));
                    trying.spawn(async move { walk.buy(buyer).await });
                }
                Some(tried) = trying.join_next() => told.extend(tried?),
            }
        }
        told.extend(trying.join_all().await.into_iter().flatten());
        Ok(told)
    }

    /// Sends `buyers` who have not asked before, some at the same time. A buyer who does not even get the page has no answer. One who is
    /// told to come back does, for a few seconds: an instance may learn of a rebuild a moment later than the others.
    pub(super) async fn last_wave(self, buyers: i64) -> Vec<Told> {
        let buy = |buyer| {
            let walk = self.clone();
            async move {
                let (nothing, since) = (walk.told(buyer, walk.began.elapsed(), Answer::Unknown), Instant::now());
                let buy = async || walk.clone().buy(buyer).await.unwrap_or(nothing.clone());
                let mut told = buy().await;
                while told.answer == Answer::Refused("overloaded".into()) && since.elapsed() < COMES_BACK {
                    sleep(RETRY_AFTER).await;
                    told = buy().await;
                }
                told
            }
        };
        stream::iter((LAST_WAVE..).take(buyers.max(0) as usize)).map(buy).buffer_unordered(CONNECTIONS).collect().await
    }

    /// Sends a buyer at each of these intervals until `ended`, with at most `at_once` of them under way. Counts their answers, and
    /// returns them.
    ///
    /// # Errors
    /// A buyer's task panicked.
    pub(super) async fn stroll(
        self,
        every: Duration,
        at_once: usize,
        mut ended: watch::Receiver<bool>,
    ) -> anyhow::Result<Vec<Told>> {
        let (mut buyers, mut ticks, mut trying) = (PROBES.., interval(every), JoinSet::new());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told: Vec<Told> = Vec::new();
        while !*ended.borrow_and_update() {
            tokio::select! {
                _ = ended.changed() => {}
                _ = ticks.tick(), if trying.len() < at_once => {
                    let (walk, buyer) = (self.clone(), buyers.next().unwrap_or(PROBES));
                    trying.spawn(async move {
                        let told = walk.buy(buyer).await?;
                        walk.progress.told(&told.answer, told.latency());
                        Some(told)
                    });
                }
                Some(tried) = trying.join_next() => told.extend(tried?),
            }
        }
        told.extend(trying.join_all().await.into_iter().flatten());
        Ok(told)
    }

    /// Asks again for the order of a buyer who has given up waiting for its result.
    pub(super) async fn ask_again(&self, told: Told) -> Told {
        match (&told.answer, self.page(told.buyer_id).await) {
            (Answer::Queued { order_id }, Some((connection, _))) => {
                let answer = self.wait(connection, *order_id, told.buyer_id).await;
                Told { answer, answered: self.began.elapsed(), ..told }
            }
            _ => told,
        }
    }

    /// One buyer at the first instance that serves the sale's page. `None` if none does, because then nothing was asked.
    async fn buy(&self, buyer: i64) -> Option<Told> {
        let wanted = self.began.elapsed();
        let (mut connection, link) = self.page(buyer).await?;
        let after_fault = self.progress.is_struck();
        let (mut answer, _) = click(&mut connection, &link, buyer).await;
        if let Answer::Queued { order_id } = answer {
            self.queued.fetch_add(1, Relaxed);
            answer = self.wait(connection, order_id, buyer).await;
            self.queued.fetch_sub(1, Relaxed);
        }
        if after_fault && matches!(answer, Answer::Bought { .. }) {
            self.progress.confirm();
        }
        Some(self.told(buyer, wanted, answer))
    }

    /// Polls an order; if one instance does not answer, asks another one.
    async fn wait(&self, mut connection: Connection, order_id: i64, buyer: i64) -> Answer {
        let (since, mut doors) = (Instant::now(), self.doors.iter().cycle());
        while since.elapsed() < PATIENCE {
            sleep(self.polls).await;
            match timeout(FOR_AN_ANSWER, result(&mut connection, order_id, buyer)).await {
                Ok(Some(Answer::Queued { .. })) => {}
                Ok(Some(answer)) => return answer,
                Ok(None) | Err(_) => {
                    if let Some(door) = doors.next()
                        && let Ok(another) = Connection::open(*door).await
                    {
                        connection = another;
                    }
                }
            }
        }
        Answer::Queued { order_id }
    }

    async fn page(&self, buyer: i64) -> Option<(Connection, Link)> {
        for n in 0..self.doors.len() {
            let door = self.doors[(buyer as usize + n) % self.doors.len()];
            let page = async {
                let mut connection = Connection::open(door).await?;
                let link = open_sale(&mut connection, self.sale).await?;
                anyhow::Ok((connection, link))
            };
            if let Ok(Ok(page)) = timeout(FOR_AN_ANSWER, page).await {
                return Some(page);
            }
        }
        None
    }

    fn told(&self, buyer_id: i64, wanted: Duration, answer: Answer) -> Told {
        Told { buyer_id, sale_id: self.sale, wanted, sent: wanted, answered: self.began.elapsed(), answer }
    }
}
