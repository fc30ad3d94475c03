//! Measures how much a small shop can do.

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

/// Database connections of the shop: a shop that can do little is flooded by little, and the generator has room.
pub const POOL: u32 = 1;
/// Units of a sale that is about time: more than anybody can buy, so that every purchase that gets through is work.
pub const PLENTY: i64 = 1_000_000;
/// How many ask at once to find out.
const ASKING: usize = 32;
/// Answers in this time count for nothing: connections, caches and pages are cold.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a round lasts, and how many there are. A stall of a second spoils two rounds of five, and the median is one of the others.
const ROUND: Duration = Duration::from_millis(600);
const ROUNDS: usize = 5;
/// How often we calibrate before we give up. A busy machine has quiet seconds.
const ATTEMPTS: u32 = 3;

/// The first steady one of this process, on SQLite and on PostgreSQL: the machine stays the same.
static STEADY: [OnceLock<Calibration>; 2] = [const { OnceLock::new() }; 2];

impl Calibration {
    /// Calibrates until the rounds agree, at most [`ATTEMPTS`] times.
    async fn until_steady(mut attempt: impl AsyncFnMut() -> anyhow::Result<Vec<f64>>) -> anyhow::Result<Calibration> {
        let mut calibration = Calibration::default();
        while calibration.attempts == 0 || calibration.invalid().is_some() && calibration.attempts < ATTEMPTS {
            calibration = Calibration { rounds: attempt().await?, attempts: calibration.attempts + 1 };
        }
        Ok(calibration)
    }

    /// Calibrates with the shop at this address. Its sale has to have [`PLENTY`] of units.
    ///
    /// # Errors
    /// The shop does not answer, or does not know the sale.
    pub async fn of(shop: SocketAddr, sale: i64) -> anyhow::Result<Calibration> {
        Calibration::until_steady(async || rounds(shop, sale).await).await
    }
}

/// Purchases a second that chapter 3's shop answers, on which the later ones are built, with a pool of [`POOL`] and
/// 32 buyers who ask again as soon as they have an answer. Measured in a process until it is steady once.
///
/// # Errors
/// The shop's or the database's.
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
        let _ = steady.set(calibration.clone()); // an unsteady one is worth another try
    }
    Ok(calibration)
}

/// One warm-up and [`ROUNDS`] rounds, without a pause between them.
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

/// Answers a second in each round, from when the answers came.
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
    async fn it_is_repeated_until_the_rounds_agree_and_three_times_at_most() {
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
