//! Measures a small shop's capacity, so that a flood can exceed it by a known factor.

use std::{
    net::SocketAddr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::time::sleep;
use v1_naive::shop::sales::Sale;

use super::stage::at_once;
use crate::{
    buyer::{
        click::{buy, open_sale},
        client::Connection,
    },
    lab::{Lab, shop_process::ShopProcess},
    record::Calibration,
    verdict::history::Answer,
    version::Version,
};

/// The shop's database connections. With one connection its capacity is low, and the load generator can exceed it with ease.
pub const POOL: u32 = 1;
/// The stock of a sale in a timed scenario: it cannot sell out, so every purchase does the full work.
pub const PLENTY: i64 = 1_000_000;
/// Buyers that ask at the same time (closed loop).
const ASKING: usize = 32;
/// Answers during this time are not counted, because connections, caches and pages are still cold.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a round lasts, and how many consecutive ones have to agree. A stall of one second spoils two of five rounds, so the
/// median is one of the others.
const ROUND: Duration = Duration::from_millis(600);
const ROUNDS: usize = 5;
/// The most rounds that are measured until five agree: nine seconds. A busy machine may be quiet a few seconds later.
pub const MOST_ROUNDS: usize = 15;

/// The first steady calibration of this process, for SQLite and for PostgreSQL. The machine does not change, so one is enough.
static STEADY: [OnceLock<Calibration>; 2] = [const { OnceLock::new() }; 2];
/// Whether the machine was too busy once. From then on a calibration has no further rounds, so that a matrix on a busy machine does
/// not spend most of its time on them.
static WAS_BUSY: AtomicBool = AtomicBool::new(false);

impl Calibration {
    /// Calibrates against the shop at `shop`, until five consecutive rounds agree. If they do not within `most` rounds, the
    /// last ones are returned, which are then invalid. The shop's sale must have [`PLENTY`] units.
    ///
    /// # Errors
    /// The shop does not answer, or does not have the sale.
    pub async fn of(shop: SocketAddr, sale: i64, most: usize) -> anyhow::Result<Calibration> {
        let (answered, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let asking = at_once(ASKING, async |n| {
            ask_until(&done, &answered, shop, sale, n as i64 + 1).await?;
            anyhow::Ok((Vec::<()>::new(), 0))
        });
        let counting = async {
            sleep(WARM_UP).await;
            let mut rounds = Vec::new();
            let calibration = loop {
                rounds.push(rate(&answered).await);
                if let Some(calibration) = Calibration::settled(&rounds, most) {
                    break calibration;
                }
            };
            done.store(true, Relaxed);
            Ok(calibration)
        };
        let (_, calibration) = tokio::try_join!(asking, counting)?;
        Ok(calibration)
    }

    /// The last [`ROUNDS`] of these rounds, if they agree or if no further one may be measured.
    fn settled(rounds: &[f64], most: usize) -> Option<Calibration> {
        let before = rounds.len().checked_sub(ROUNDS)?;
        let last = Calibration { rounds: rounds[before..].to_vec(), attempts: before as u32 + 1 };
        (last.invalid().is_none() || rounds.len() >= most).then_some(last)
    }
}

/// The purchases per second of chapter 3's shop, which the later chapters build on. The shop has a pool of [`POOL`], and 32
/// buyers ask again as soon as they have an answer. A steady result is reused within the process.
///
/// # Errors
/// The shop does not start or answer, or the database fails.
pub async fn capacity(lab: &Lab) -> anyhow::Result<Calibration> {
    let steady = &STEADY[usize::from(lab.has_postgres())];
    if let Some(known) = steady.get() {
        return Ok(known.clone());
    }
    let database = lab.fresh_database().await?;
    let args = ["--database-url", database.url.as_str(), "--pool-size", &POOL.to_string()].map(str::to_owned);
    let log = lab.folder.path().join("capacity.log");
    let shop = ShopProcess::start(&lab.loadtest, Version::V3, &args, log).await?;
    let (sale, pool) = (2, database.connect().await?);
    Sale::open(sale, PLENTY).insert(&pool).await?;
    pool.close().await;
    let most = if WAS_BUSY.load(Relaxed) { ROUNDS } else { MOST_ROUNDS };
    let calibration = Calibration::of(shop.address, sale, most).await;
    shop.stop().await;
    lab.remove(database).await?;
    let calibration = calibration?;
    match calibration.invalid() {
        None => _ = steady.set(calibration.clone()),
        Some(_) => WAS_BUSY.store(true, Relaxed),
    }
    Ok(calibration)
}

/// Buys again and again for this buyer, and counts the units.
async fn ask_until(
    done: &AtomicBool,
    answered: &AtomicU64,
    shop: SocketAddr,
    sale: i64,
    buyer: i64,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(shop).await?;
    let link = open_sale(&mut connection, sale).await?;
    while !done.load(Relaxed) {
        match buy(&mut connection, &link, buyer).await.0 {
            Answer::Bought { .. } => _ = answered.fetch_add(1, Relaxed),
            Answer::Unknown => connection = Connection::open(shop).await?,
            Answer::Refused(_) | Answer::Queued { .. } => {}
        }
    }
    Ok(())
}

/// The answers per second during one round.
async fn rate(answered: &AtomicU64) -> f64 {
    let (before, start) = (answered.load(Relaxed), Instant::now());
    sleep(ROUND).await;
    (answered.load(Relaxed) - before) as f64 / start.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_consecutive_rounds_have_to_agree() {
        let steady = [100.0, 101.0, 99.0, 100.0, 102.0];
        assert_eq!(Calibration::settled(&steady[..4], 15), None, "too few");
        assert_eq!(Calibration::settled(&steady, 15), Some(Calibration { rounds: steady.to_vec(), attempts: 1 }));
        let stalled = [&[10.0], &steady[..]].concat();
        assert_eq!(Calibration::settled(&stalled[..5], 15), None, "one of them stalled");
        assert_eq!(Calibration::settled(&stalled, 15), Some(Calibration { rounds: steady.to_vec(), attempts: 2 }));
        let restless = [100.0, 10.0].repeat(15);
        assert!((0..15).all(|n| Calibration::settled(&restless[..n], 15).is_none()));
        let given_up = Calibration::settled(&restless[..15], 15).unwrap();
        assert_eq!((given_up.attempts, given_up.invalid().is_some()), (11, true));
    }
}
