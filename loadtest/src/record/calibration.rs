//! The measured capacity of a small shop.

use serde::{Deserialize, Serialize};

use crate::{compare::spread::Spread, render::text::thousands};

/// How far the rounds may differ, as a share of their median. The flood is five times the median; with a larger spread it could
/// just as well be four or six times.
const SPREAD: f64 = 0.25;

/// The purchases per second of a small shop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Purchases per second in each round.
    pub rounds: Vec<f64>,
    /// How often five consecutive rounds were compared: after the fifth round, and after each further one.
    pub attempts: u32,
}

impl Calibration {
    /// The median of the rounds; 0 if there are none.
    pub fn median(&self) -> f64 {
        Spread::of(&self.rounds).map_or(0.0, |rounds| rounds.median)
    }

    /// The difference between the fastest and the slowest round, as a share of the median.
    pub fn spread(&self) -> f64 {
        match Spread::of(&self.rounds) {
            Some(Spread { median, min, max }) if median > 0.0 => (max - min) / median,
            Some(_) if self.rounds.len() > 1 => f64::INFINITY,
            Some(_) | None => 0.0,
        }
    }

    /// Why the median is not usable; `None` if the rounds agree.
    pub fn invalid(&self) -> Option<String> {
        (self.spread() > SPREAD).then(|| {
            format!("the calibration's rounds differ by {:.0} %, in attempt {}", self.spread() * 100.0, self.attempts)
        })
    }

    /// In words: `5 rounds, 1,540 to 1,655`, and the attempt if there was more than one. Empty if there are no rounds.
    pub fn says(&self) -> String {
        let Some(Spread { min, max, .. }) = Spread::of(&self.rounds) else { return String::new() };
        let (slowest, fastest) = (thousands(min as i64), thousands(max as i64));
        let again = if self.attempts > 1 { format!(", attempt {}", self.attempts) } else { String::new() };
        format!("{} rounds, {slowest} to {fastest}{again}", self.rounds.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rounds: &[f64]) -> Calibration {
        Calibration { rounds: rounds.to_vec(), attempts: 1 }
    }

    #[test]
    fn a_stall_is_detected_and_does_not_move_the_median() {
        let steady = of(&[1000.0, 1040.0, 960.0, 1010.0, 990.0]);
        assert_eq!((steady.median(), steady.spread(), steady.invalid()), (1000.0, 0.08, None));
        let stalled = of(&[1000.0, 1040.0, 0.0, 1010.0, 990.0]);
        assert_eq!((stalled.median(), stalled.spread()), (1000.0, 1.04));
        assert!(stalled.invalid().is_some());
    }

    #[test]
    fn the_rounds_may_differ_by_a_quarter() {
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
    fn the_words_give_the_slowest_and_the_fastest_round() {
        assert_eq!(of(&[1655.4, 1540.0, 1600.0]).says(), "3 rounds, 1,540 to 1,655");
        assert_eq!(Calibration { attempts: 2, ..of(&[10.0, 11.0]) }.says(), "2 rounds, 10 to 11, attempt 2");
        assert_eq!(Calibration::default().says(), "");
    }
}
