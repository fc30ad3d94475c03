//! How much a small shop can do.

use serde::{Deserialize, Serialize};

use crate::render::text::thousands;

/// The rounds may differ by this share of their median. The flood is five times the median: with more, it could as well be four times
/// or six.
const SPREAD: f64 = 0.25;
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
    fn it_says_how_far_the_rounds_are_apart() {
        assert_eq!(of(&[1655.4, 1540.0, 1600.0]).says(), "3 rounds, 1,540 to 1,655");
        assert_eq!(Calibration { attempts: 2, ..of(&[10.0, 11.0]) }.says(), "2 rounds, 10 to 11, attempt 2");
        assert_eq!(Calibration::default().says(), "");
    }
}
