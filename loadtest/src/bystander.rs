//! Bystanders: a few buyers of another sale, one after the other at a steady rate, while next to them a crowd tramples.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use crate::{
    buyer::{buy, open_sale},
    client::{Connection, Link},
    history::{Answer, Told},
};

/// Bystanders a second. An open loop: the next one comes whether or not the last one has been served.
pub const RATE: u32 = 100;

/// Lets bystanders of `sale` come until `stop` says so; returns what each was told.
///
/// Their latency counts from when they were due. Buyer ids start at `first_buyer`.
///
/// # Errors
/// The sale is unknown, or the shop does not answer before the first bystander.
pub async fn run(
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
