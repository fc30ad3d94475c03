use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};
use v1_naive::shop::sales::Sale;

use super::{Measure, Played, Stage, open_loop::Visitors};
use crate::{
    buyer::{buy, open_sale},
    client::Connection,
    history::Latency,
    lab::Lab,
    record::Flood,
    shop_process::ShopProcess,
    version::Version,
};

/// By what the flood exceeds what the shop can do.
pub const TIMES: f64 = 5.0;
/// Database connections of the shop: a shop that can do little is flooded by little, and the generator has room.
pub const POOL: u32 = 1;
/// Units of a sale in a flood: more than anybody can buy, so that every purchase that gets through is work.
pub const PLENTY: i64 = 1_000_000;
/// How many ask at once to find out.
const ASKING: usize = 32;
/// For how long.
const CALIBRATION: Duration = Duration::from_secs(2);
/// No more than that is offered. The generator does 65,000 a second to a shop that does nothing, on two processors; a quarter
/// of it leaves the shop room to be the slower one.
const MOST: f64 = 15_000.0;
/// The clients that flood.
const CLIENTS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(203, 0, 113, 1),
    Ipv4Addr::new(203, 0, 113, 2),
    Ipv4Addr::new(203, 0, 113, 3),
    Ipv4Addr::new(203, 0, 113, 4),
];
/// Connections the flood may have open.
const CONNECTIONS: usize = 2000;
/// Connections the honest buyers may have open.
const HONEST_CONNECTIONS: usize = 500;
/// Both.
pub const SOCKETS: usize = CONNECTIONS + HONEST_CONNECTIONS;
/// Honest buyers a second at most, and as a share of what the shop can do: alone they are well served.
const HONEST: f64 = 100.0;
const HONEST_SHARE: f64 = 0.2;
/// How long they have had the page open when they click.
const READS: Duration = Duration::from_secs(1);
/// A decision after that is none: the buyer has clicked again, or gone.
const IN_TIME: Duration = Duration::from_millis(500);
/// How long the last of them wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// The share of honest buyers with a decision in time from which on we say that a version holds.
pub const ENOUGH: f64 = 0.95;

/// Purchases a second that chapter 3's shop answers, on which the later ones are built, with a pool of [`POOL`] and
/// 32 buyers who ask again as soon as they have an answer. Measured once in a lab.
///
/// # Errors
/// The shop's or the database's.
pub async fn capacity(lab: &Lab) -> anyhow::Result<f64> {
    lab.capacity.get_or_try_init(async || measure_capacity(lab).await).await.copied()
}

async fn measure_capacity(lab: &Lab) -> anyhow::Result<f64> {
    let database = lab.fresh_database().await?;
    let args = ["--database-url", database.url.as_str(), "--pool-size", &POOL.to_string()].map(str::to_owned);
    let log = lab.folder.path().join("capacity.log");
    let shop = ShopProcess::start(&lab.loadtest, Version::V3, &args, log).await?;
    let (sale, pool) = (2, database.connect().await?);
    Sale::open(sale, PLENTY).insert(&pool).await?;
    pool.close().await;
    let start = Instant::now();
    let asking = async |n: usize| {
        let mut connection = Connection::open(shop.address).await?;
        let link = open_sale(&mut connection, sale).await?;
        let mut answers = 0;
        while start.elapsed() < CALIBRATION {
            buy(&mut connection, &link, n as i64 + 1).await;
            answers += 1;
        }
        anyhow::Ok((Vec::<()>::new(), answers))
    };
    let (_, answers) = super::at_once(ASKING, asking).await?;
    let seconds = start.elapsed().as_secs_f64();
    shop.stop().await;
    lab.remove(database).await?;
    Ok(answers as f64 / seconds)
}

/// Honest buyers at a steady rate, each from an address of its own, while a few clients ask for five times
/// `capacity`, each time in another buyer's name.
///
/// # Errors
/// The database's, or the shop's when it does not answer.
pub async fn play(stage: &Stage<'_>, capacity: f64, lasts: Duration) -> anyhow::Result<Played> {
    let sale_id = stage.sale;
    stage.put_up(&[Sale::open(sale_id, stage.plan.stock)]).await?;
    let offered = (capacity * TIMES).min(MOST);
    let (stop, stopped) = watch::channel(false);
    let visitors = Visitors {
        shops: stage.shops.to_vec(),
        sale_id,
        first_buyer: 1,
        rate: HONEST.min(capacity * HONEST_SHARE).max(1.0),
        from: Vec::new(),
        connections: HONEST_CONNECTIONS,
        reads: READS,
        patience: PATIENCE,
    };
    let honest = visitors.clone().come_apart(stopped.clone())?;
    let flood = Visitors {
        first_buyer: 1_000_000,
        rate: offered,
        from: CLIENTS.to_vec(),
        connections: CONNECTIONS,
        reads: Duration::ZERO, // a script
        ..visitors
    };
    sleep(READS).await; // now the honest ones click
    let flood = tokio::spawn(flood.come(stopped));
    sleep(lasts).await;
    stop.send_replace(true);
    let (honest, flood) = (honest.await??, flood.await??);

    let in_time = honest.iter().filter(|told| told.is_decided() && told.latency() <= IN_TIME).count();
    let share = in_time as f64 / honest.len().max(1) as f64;
    let what = "share of honest buyers with a decision within 500 ms";
    let about = Flood {
        capacity_per_second: capacity,
        offered_per_second: offered,
        sent: flood.len(),
        honest: honest.len(),
        decided_in_time: in_time,
        latency: Latency::of(&honest, |_| true),
    };
    let requests = (honest.len() + flood.len()) as u64;
    Ok(Played {
        sales: vec![sale_id],
        requests,
        elapsed: lasts,
        measure: Some(Measure::new(what, share, share >= ENOUGH)),
        flood: Some(about),
        history: honest.into_iter().chain(flood).collect(),
        ..Played::default()
    })
}
