use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{MissedTickBehavior, sleep},
};

use crate::{
    buyer::{buy, open_sale},
    client::{Connection, Link},
    history::{Answer, Told},
};

/// Buyers who come at a steady rate: the next one comes whether or not the last one has been served, so that a slow shop
/// cannot slow the question down. Their latency counts from when they were due.
#[derive(Debug, Clone)]
pub struct Visitors {
    /// Where to.
    pub shop: SocketAddr,
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
    /// How long they wait once no more come. Who has no answer then does not know.
    pub patience: Duration,
}

impl Visitors {
    /// Lets them come until `stop` says so; returns what each was told.
    ///
    /// # Errors
    /// The shop does not answer, or does not know the sale.
    pub async fn come(self, mut stop: watch::Receiver<bool>) -> anyhow::Result<Vec<Told>> {
        let (end, patience) = (stop.clone(), self.patience);
        let mut first = Connection::open(self.shop).await?;
        let link = open_sale(&mut first, self.sale_id).await?;
        let tabs = Arc::new(Tabs { idle: Mutex::new(vec![first]), shop: self.shop });
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.rate));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut coming = JoinSet::new();
        let mut history = Vec::new();
        let start = ticks.tick().await.into_std();
        for n in 0.. {
            let due = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                tick = ticks.tick() => tick.into_std(),
            };
            while let Some(told) = coming.try_join_next() {
                history.push(told?);
            }
            if coming.len() < self.connections {
                let from = self.from.get(n % self.from.len().max(1)).copied();
                let buyer = self.first_buyer + n as i64;
                let mut end = end.clone();
                let gone = async move {
                    let _ = end.wait_for(|stop| *stop).await;
                    sleep(patience).await;
                };
                let visit = visit(tabs.clone(), from, link.clone(), buyer);
                let sale_id = self.sale_id;
                coming.spawn(async move {
                    let answer = tokio::select! {
                        answer = visit => answer,
                        () = gone => Answer::Unknown,
                    };
                    Told { buyer_id: buyer, sale_id, wanted: due - start, answered: start.elapsed(), answer }
                });
            }
        }
        history.extend(coming.join_all().await);
        Ok(history)
    }
}

/// Connections that are open and of no use to anybody right now.
struct Tabs {
    idle: Mutex<Vec<Connection>>,
    shop: SocketAddr,
}

async fn visit(tabs: Arc<Tabs>, from: Option<Ipv4Addr>, link: Link, buyer_id: i64) -> Answer {
    let free = tabs.idle.lock().ok().and_then(|mut idle| idle.pop());
    let connection = match free {
        Some(connection) => Ok(connection),
        None => Connection::open(tabs.shop).await,
    };
    let Ok(mut connection) = connection else { return Answer::Unknown };
    connection.from = from;
    let (answer, _) = buy(&mut connection, &link, buyer_id).await;
    if answer != Answer::Unknown {
        let _ = tabs.idle.lock().map(|mut idle| idle.push(connection));
    }
    answer
}
