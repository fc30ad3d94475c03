use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use v1_naive::shop::sales::Sale;

use super::flood::{PLENTY, POOL};
use crate::{
    buyer::{
        click::{buy, open_sale},
        client::Connection,
    },
    lab::{Lab, shop_process::ShopProcess},
    text::thousands,
    verdict::history::Answer,
    version::Version,
};

/// How many ask at once to find out.
const ASKING: usize = 32;
/// Answers in this time count for nothing: connections, caches and pages are cold.
const WARM_UP: Duration = Duration::from_millis(500);
/// How long a round lasts, and how many there are. A stall of a second spoils two rounds of five, and the median is one of the others.
const ROUND: Duration = Duration::from_millis(600);
const ROUNDS: usize = 5;
/// The rounds may differ by this share of their median. The flood is five times the median: with more, it could as well be four times
/// or six.
const SPREAD: f64 = 0.25;
/// How often we calibrate before we give up. A busy machine has quiet seconds.
const ATTEMPTS: u32 = 3;

/// How many purchases a second a small shop answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Purchases a second, round by round.
    pub rounds: Vec<f64>,
    /// How often it took until the rounds agreed, or until we gave up.
    pub attempts: u32,
}

impl Calibration {
    /// The middle of the rounds; 0 if there are none.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            n => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
        }
    }

    /// By what share of the median the fastest and the slowest round differ.
    pub fn spread(&self) -> f64 {
        match (self.sorted().as_slice(), self.median()) {
            ([] | [_], _) => 0.0,
            ([slowest, .., fastest], median) if median > 0.0 => (fastest - slowest) / median,
            ([_, .., _], _) => f64::INFINITY,
        }
    }

    /// Why `TIMES` the median means nothing; `None` if the rounds agree.
    pub fn invalid(&self) -> Option<String> {
        (self.spread() > SPREAD).then(|| {
            format!("the calibration's rounds differ by {:.0} %, in attempt {}", self.spread() * 100.0, self.attempts)
        })
    }

    /// `5 rounds, 1,540 to 1,655`, and how often it took if that was more than once; empty if there are no rounds.
    pub fn says(&self) -> String {
        let sorted = self.sorted();
        let (Some(slowest), Some(fastest)) = (sorted.first(), sorted.last()) else { return String::new() };
        let (slowest, fastest) = (thousands(*slowest as i64), thousands(*fastest as i64));
        let again = if self.attempts > 1 { format!(", attempt {}", self.attempts) } else { String::new() };
        format!("{} rounds, {slowest} to {fastest}{again}", sorted.len())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

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
/// 32 buyers who ask again as soon as they have an answer. Measured in a lab until it is steady once.
///
/// # Errors
/// The shop's or the database's.
pub async fn capacity(lab: &Lab) -> anyhow::Result<Calibration> {
    if let Some(known) = lab.capacity.get() {
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
        let _ = lab.capacity.set(calibration.clone()); // an unsteady one is worth another try
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
                _ => answered.push(start.elapsed()),
            }
        }
        anyhow::Ok((answered, 0))
    };
    let (answered, _) = super::at_once(ASKING, asking).await?;
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

    fn of(rounds: &[f64]) -> Calibration {
        Calibration { rounds: rounds.to_vec(), attempts: 1 }
    }

    #[test]
    fn a_stall_moves_neither_the_median_nor_goes_unseen() {
        let steady = of(&[1000.0, 1040.0, 960.0, 1010.0, 990.0]);
        assert_eq!((steady.median(), steady.spread(), steady.invalid()), (1000.0, 0.08, None));
        let stalled = of(&[1000.0, 1040.0, 0.0, 1010.0, 990.0]);
        assert_eq!((stalled.median(), stalled.spread()), (1000.0, 1.04));
        assert!(stalled.invalid().is_some());
    }

    #[test]
    fn a_quarter_is_the_limit() {
        assert_eq!(of(&[875.0, 1000.0, 1125.0]).invalid(), None);
        let why = of(&[874.0, 1000.0, 1126.0]).invalid().unwrap();
        assert_eq!(why, "the calibration's rounds differ by 25 %, in attempt 1");
    }

    #[test]
    fn a_shop_that_answers_nothing_has_no_capacity() {
        assert!(of(&[0.0; 5]).invalid().is_some());
        assert_eq!((of(&[]).median(), of(&[]).invalid(), of(&[7.0]).median()), (0.0, None, 7.0));
        assert_eq!(of(&[1.0, 2.0]).median(), 1.5);
    }

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

    #[test]
    fn it_says_how_far_the_rounds_are_apart() {
        assert_eq!(of(&[1655.4, 1540.0, 1600.0]).says(), "3 rounds, 1,540 to 1,655");
        assert_eq!(Calibration { attempts: 2, ..of(&[10.0, 11.0]) }.says(), "2 rounds, 10 to 11, attempt 2");
        assert_eq!(Calibration::default().says(), "");
    }
}
