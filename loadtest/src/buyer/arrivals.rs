//! Whether the visitors of an open loop came as planned.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::render::text::thousands;

/// A request that leaves later than this after it was due is late. The flood asks for a decision within 500 ms: a fifth of that
/// spent in the generator would already show in the figure.
pub const LATE: Duration = Duration::from_millis(100);
/// The share of visitors that may be dropped or late. The figures are p99s and shares near 95 %, so one in a hundred can
/// move them and more than that decides them.
const TOLERATED: f64 = 0.01;

/// How the visitors of an open loop came. The latencies do not show this, because a visitor who never asked has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Visitors who were due before the loop ended.
    pub planned: usize,
    /// Of the planned, those who never asked, because no connection was free or the generator was too late.
    pub dropped: usize,
    /// Of the planned, those who asked more than [`LATE`] after they were due, because of the generator and not of the shop.
    pub late: usize,
}

impl Arrivals {
    /// Visitors who asked.
    pub fn sent(&self) -> usize {
        self.planned - self.dropped
    }

    /// Whether more of them than tolerated came late because of the generator, so that the figures say nothing about the shop.
    pub fn sent_late(&self) -> bool {
        self.late as f64 > TOLERATED * self.planned as f64
    }

    /// Why the figures of these visitors are invalid; `None` if nearly all of them came on time.
    pub fn invalid(&self) -> Option<String> {
        if self.planned == 0 {
            return Some("the run ended before the first visitor was due".into());
        }
        let missed = (self.dropped + self.late) as f64 / self.planned as f64;
        (missed > TOLERATED)
            .then(|| format!("{:.1} % of the visitors came late or found no connection", missed * 100.0))
    }

    /// The dropped and late visitors in words; `None` if there are none.
    pub fn missed(&self) -> Option<String> {
        let Arrivals { planned, dropped, late } = self;
        let count = |n: &usize| thousands(*n as i64);
        (dropped + late > 0).then(|| {
            format!("{} of {} visitors found no connection, {} came late", count(dropped), count(planned), count(late))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_may_be_missed() {
        let arrivals = |dropped, late| Arrivals { planned: 300, dropped, late };
        for (dropped, late) in [(0, 0), (3, 0), (0, 3), (1, 2)] {
            assert_eq!(arrivals(dropped, late).invalid(), None, "{dropped} dropped, {late} late");
        }
        for (dropped, late) in [(4, 0), (0, 4), (2, 2)] {
            assert_eq!(arrivals(dropped, late).sent_late(), late == 4);
            let why = arrivals(dropped, late).invalid().expect("a reason");
            assert_eq!(why, "1.3 % of the visitors came late or found no connection");
        }
        assert!(arrivals(300, 0).invalid().is_some(), "nobody could ask");
        assert!(Arrivals::default().invalid().unwrap().contains("before the first visitor"));
    }

    #[test]
    fn who_was_missed_is_said_and_nothing_else() {
        assert_eq!(Arrivals { planned: 5, ..Arrivals::default() }.missed(), None);
        let missed = Arrivals { planned: 1234, dropped: 1000, late: 2 };
        assert_eq!(missed.missed().unwrap(), "1,000 of 1,234 visitors found no connection, 2 came late");
        assert_eq!(missed.sent(), 234);
    }
}
