//! Bystanders: a few buyers of another sale, one after the other at a steady rate, while next to them a crowd tramples.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sqlx::AnyPool;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, sleep},
};
use v1_naive::shop::sales::Sale;

use crate::{
    audit::audit,
    buyer::{buy, open_sale},
    client::{Connection, Link},
    history::{Answer, Latency, Told, outcomes},
    ledger::Ledger,
    observe,
    record::Bystander,
};

/// More than bystanders can buy.
const PLENTY: i64 = 1_000_000;
/// How long bystanders are alone, for the comparison.
const ALONE: Duration = Duration::from_secs(3);
/// Bystanders a second. An open loop: the next one comes whether or not the last one has been served.
const RATE: u32 = 100;

/// Lets bystanders of `sale` come until `stop` says so; returns what each was told.
///
/// Their latency counts from when they were due. Buyer ids start at `first_buyer`.
async fn run(
    shop: SocketAddr,
    sale_id: i64,
    first_buyer: i64,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<Vec<Told>> {
    let mut connection = Connection::open(shop).await?;
    let link = open_sale(&mut connection, sale_id).await?;
    let idle = Arc::new(Mutex::new(vec![connection]));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut coming = JoinSet::new();
    let start = ticks.tick().await.into_std();
    for buyer_id in first_buyer.. {
        let due = tokio::select! {
            tick = ticks.tick() => tick.into_std(),
            _ = stop.wait_for(|stop| *stop) => break,
        };
        coming.spawn(come(shop, link.clone(), sale_id, buyer_id, idle.clone(), start, due));
    }
    Ok(coming.join_all().await)
}

async fn come(
    shop: SocketAddr,
    link: Link,
    sale_id: i64,
    buyer_id: i64,
    idle: Arc<Mutex<Vec<Connection>>>,
    start: Instant,
    due: Instant,
) -> Told {
    let free = idle.lock().ok().and_then(|mut idle| idle.pop());
    let connection = match free {
        Some(connection) => Ok(connection),
        None => Connection::open(shop).await,
    };
    let answer = match connection {
        Err(_) => Answer::Unknown,
        Ok(mut connection) => {
            let (answer, _) = buy(&mut connection, &link, buyer_id).await;
            if answer != Answer::Unknown {
                let _ = idle.lock().map(|mut idle| idle.push(connection));
            }
            answer
        }
    };
    Told { buyer_id, sale_id, wanted: due - start, answered: start.elapsed(), answer }
}

/// The other sale during a stampede: its buyers, and the locks that are waited for.
pub struct Watched {
    sale: i64,
    alone: Vec<Told>,
    stop: watch::Sender<bool>,
    beside: JoinHandle<anyhow::Result<Vec<Told>>>,
    lock_waiters: Option<JoinHandle<i64>>,
}

impl Watched {
    /// Puts `sale` up, lets bystanders come alone for a while, and has the next ones coming. `server` is where to ask
    /// for waiting locks, and the name of the database.
    ///
    /// # Errors
    /// The database's, or the shop's when it does not answer.
    pub async fn begin(
        shop: SocketAddr,
        pool: &AnyPool,
        sale: i64,
        first_buyer: i64,
        server: Option<(AnyPool, String)>,
    ) -> anyhow::Result<Watched> {
        Sale::open(sale, PLENTY).insert(pool).await?;
        let (stop, stopped) = watch::channel(false);
        let alone = tokio::spawn(run(shop, sale, first_buyer, stopped));
        sleep(ALONE).await;
        stop.send_replace(true);
        let alone = alone.await??;

        let (stop, stopped) = watch::channel(false);
        let beside = tokio::spawn(run(shop, sale, first_buyer + alone.len() as i64, stopped.clone()));
        let lock_waiters = server.map(|(admin, name)| tokio::spawn(observe::lock_waiters(admin, name, stopped)));
        Ok(Watched { sale, alone, stop, beside, lock_waiters })
    }

    /// Lets no more come, and compares.
    ///
    /// # Errors
    /// The database's, or the shop's when it does not answer.
    pub async fn end(self, pool: &AnyPool) -> anyhow::Result<Bystander> {
        self.stop.send_replace(true);
        let beside = self.beside.await??;
        let lock_waiters = match self.lock_waiters {
            Some(waiters) => Some(waiters.await?),
            None => None,
        };
        let latency = |history: &[Told]| Latency::of(history, |answer| *answer != Answer::Unknown);
        let (before, after) = (latency(&self.alone), latency(&beside));
        let outcomes = outcomes(&beside);
        let all: Vec<Told> = self.alone.into_iter().chain(beside).collect();
        Ok(Bystander {
            p99_ratio: before.zip(after).map(|(before, after)| after.p99 / before.p99),
            alone: before,
            beside: after,
            outcomes,
            lock_waiters,
            audit: audit(&all, &Ledger::read(pool, &[self.sale]).await?),
        })
    }
}
