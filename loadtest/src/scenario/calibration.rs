//! Measures a small shop's capacity, so that a flood can exceed it by a known factor.

use std::{
    net::SocketAddr,
    sync::OnceLock,
    time::{Duration, Instant},
};

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
/// How long a round lasts, and the number of rounds. A stall of one second spoils two of five rounds, so
/// the median is one of the others.
const ROUND: Duration = Duration::from_millis(600);
const ROUNDS: usize = 5;
/// The most calibrations in a run. A busy machine may be quiet a few seconds later.
const ATTEMPTS: u32 = 3;

/// The first steady calibration of this process, for SQLite and for PostgreSQL. The machine does not change, so one is enough.
static STEADY: [OnceLock<Calibration>; 2] = [const { OnceLock::new() }; 2];

impl Calibration {
    /// Calibrates until the rounds agree, at most [`ATTEMPTS`] times. The last calibration is returned even if it is not steady.
    async fn until_steady(mut attempt: impl AsyncFnMut() -> anyhow::Result<Vec<f64>>) -> anyhow::Result<Calibration> {
        let mut calibration = Calibration::default();
        while calibration.attempts == 0 || calibration.invalid().is_some() && calibration.attempts < ATTEMPTS {
            calibration = Calibration { rounds: attempt().await?, attempts: calibration.attempts + 1 };
        }
        Ok(calibration)
    }

    /// Calibrates against the shop at `shop`. Its sale must have [`PLENTY`] units.
    ///
    /// # Errors
    /// The shop does not answer, or does not have the sale.
    pub async fn of(shop: SocketAddr, sale: i64) -> anyhow::Result<Calibration> {
        Calibration::until_steady(async || rounds(shop, sale).await).await
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
    let calibration = Calibration::of(shop.address, sale).await;
    shop.stop().await;
    lab.remove(database).await?;
    let calibration = calibration?;
    if calibration.invalid().is_none() {
        let _ = steady.set(calibration.clone()); // an unsteady result is not kept, so the next call measures again
    }
    Ok(calibration)
}

/// Runs the warm-up and [`ROUNDS`] rounds without pauses. Returns each round's answers per second.
async fn rounds(shop: SocketAddr, sale: i64) -> anyhow::Result<Vec<f64>> {
    let start = Instant::now();
    let ends = WARM_UP + ROUND * ROUNDS as u32;
    let asking = async |n: usize| {
        let mut connection = Connection::open(shop).await?;
        let link = open_sale(&mut connection, sale).await?;
        let mut answered = Vec::new();
        while start.elapsed() < ends {
            match buy(&mut connection, &link, n as i64 + 1).await.0 {
                Answer::Unknown => connection = Connection::open(shop).await?,
                Answer::Bought { .. } | Answer::Refused(_) | Answer::Queued { .. } => answered.push(start.elapsed()),
            }
        }
        anyhow::Ok((answered, 0))
    };
    let (answered, _) = at_once(ASKING, asking).await?;
    Ok(per_round(&answered))
}

/// Counts the answers per second in each round, by the time at which they came.
fn per_round(answered: &[Duration]) -> Vec<f64> {
    let mut counts = vec![0.0; ROUNDS];
    for at in answered.iter().filter_map(|at| at.checked_sub(WARM_UP)) {
        if let Some(count) = counts.get_mut(at.div_duration_f64(ROUND) as usize) {
            *count += 1.0;
        }
    }
    counts.into_iter().map(|count| count / ROUND.as_secs_f64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_belong_to_the_round_in_which_they_came() {
        let at = |ms| Duration::from_millis(ms);
        let answered = [at(0), at(499), at(500), at(1099), at(1100), at(3499), at(3500)];
        let counts: Vec<f64> = per_round(&answered).iter().map(|rate| rate * ROUND.as_secs_f64()).collect();
        assert_eq!(counts.iter().map(|count| count.round()).collect::<Vec<_>>(), [2.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[tokio::test]
    async fn calibration_repeats_until_steady_but_at_most_three_times() {
        let (steady, stalled) = (vec![100.0; 5], vec![100.0, 100.0, 100.0, 100.0, 10.0]);
        for (rounds, attempts, valid) in [
            (vec![&steady], 1, true),
            (vec![&stalled, &steady], 2, true),
            (vec![&stalled, &stalled, &steady], 3, true),
            (vec![&stalled, &stalled, &stalled], 3, false),
        ] {
            let mut left = rounds.into_iter();
            let once = async || Ok(left.next().expect("no further attempt").clone());
            let calibration = Calibration::until_steady(once).await.unwrap();
            assert_eq!((calibration.attempts, calibration.invalid().is_none()), (attempts, valid));
        }
    }
}
