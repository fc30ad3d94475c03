use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, sleep, sleep_until},
};

use crate::{
    buyer::{Next, ask, buy, open_sale},
    client::{Connection, Link},
    history::{Answer, Told},
};

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
    /// Connections they may have open. Who finds none free goes away and is not counted.
    pub connections: usize,
    /// How long each has the sale's page open before it clicks: time to log in, or to ask for the address to buy at.
    pub reads: Duration,
    /// How long they wait once no more come. Who has no answer then does not know.
    pub patience: Duration,
}

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

    /// Lets them come until `stop` says so; returns what each was told.
    ///
    /// # Errors
    /// The shop does not answer, or does not know the sale.
    pub async fn come(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Vec<Told>> {
        let (end, patience) = (stop.clone(), self.patience);
        let tabs = Arc::new(Tabs { idle: Mutex::default(), shops: self.shops, turn: 0.into() });
        let mut first = tabs.open().await?;
        let link = open_sale(&mut first, self.sale_id).await?;
        tabs.keep(first);
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut coming = JoinSet::new();
        let mut history = Vec::new();
        let start = ticks.tick().await.into_std();
        for n in 0.. {
            let due = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                tick = ticks.tick() => tick.into_std() + self.reads,
            };
            while let Some(told) = coming.try_join_next() {
                history.extend(told?);
            }
            if coming.len() < self.connections {
                let from = self.from.get(n % self.from.len().max(1)).copied();
                let buyer = self.first_buyer + n as i64;
                let (mut stopped, stop) = (end.clone(), end.clone());
                let gone = async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                    sleep(patience).await;
                };
                let visit = visit(tabs.clone(), from, link.clone(), buyer, due, stop);
                let sale_id = self.sale_id;
                coming.spawn(async move {
                    let answer = tokio::select! {
                        answer = visit => answer?,
                        () = gone => Answer::Unknown,
                    };
                    let (wanted, answered) = (due - start, start.elapsed());
                    Some(Told { buyer_id: buyer, sale_id, wanted, answered, answer })
                });
            }
        }
        history.extend(coming.join_all().await.into_iter().flatten());
        Ok(history)
    }
}

/// What those were told who come on a thread of their own.
pub type Coming = oneshot::Receiver<anyhow::Result<Vec<Told>>>;

/// Connections that are open and of no use to anybody right now.
struct Tabs {
    idle: Mutex<Vec<Connection>>,
    shops: Vec<SocketAddr>,
    turn: AtomicUsize,
}

impl Tabs {
    /// A connection to the instance whose turn it is.
    async fn open(&self) -> std::io::Result<Connection> {
        Connection::open(self.shops[self.turn.fetch_add(1, Relaxed) % self.shops.len()]).await
    }

    /// One that is free, or a new one.
    async fn free(&self) -> std::io::Result<Connection> {
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

/// Opens the page, clicks when it is time, and waits for the answer; nothing if no more may come before that.
async fn visit(
    tabs: Arc<Tabs>,
    from: Option<Ipv4Addr>,
    mut link: Link,
    buyer_id: i64,
    due: Instant,
    mut stop: watch::Receiver<bool>,
) -> Option<Answer> {
    let Ok(mut connection) = tabs.free().await else { return Some(Answer::Unknown) };
    connection.from = from;
    if due > Instant::now() {
        while !link.takes_a_unit() {
            match ask(&mut connection, &link, buyer_id).await {
                Next::Follow(next) => link = next,
                Next::Told(_) => break, // it is asked again with the click
            }
        }
        tokio::select! {
            () = sleep_until(due.into()) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
    }
    let (answer, _) = buy(&mut connection, &link, buyer_id).await;
    if !matches!(answer, Answer::Unknown) {
        tabs.keep(connection);
    }
    Some(answer)
}
