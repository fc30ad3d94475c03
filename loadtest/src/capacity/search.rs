//! Chooses the rates: doubles or halves until one is served and one is not, then halves the distance.

/// The search ends when the least rate that failed is at most this many times the greatest that was served.
const PRECISION: f64 = 1.1;
/// The least rate, in buyers per second.
const LEAST: f64 = 1.0;
/// A rate fails if the shop fails it this many times in a row: a stall of the machine fails a rate, too.
const FAILURES: u32 = 2;
/// A rate fails at the latest if it is not served in this many runs in a row. A run that the generator spoiled says nothing about
/// the shop.
const RUNS: u32 = 5;

/// How the run of a rate went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The shop served it.
    Served,
    /// The shop did not serve it.
    Failed,
    /// The generator sent the buyers late.
    SentLate,
}

/// A search for the greatest rate that is served.
#[derive(Debug, Clone)]
pub struct Search {
    next: f64,
    greatest: f64,
    served: Option<f64>,
    failed: Option<f64>,
    /// Of the runs of the next rate, those that the shop failed, and all.
    failures: u32,
    runs: u32,
}

impl Search {
    /// Begins with `rate` and never exceeds `greatest`, both in buyers per second.
    pub fn new(rate: f64, greatest: f64) -> Search {
        Search { next: rate.max(LEAST).min(greatest), greatest, served: None, failed: None, failures: 0, runs: 0 }
    }

    /// The next rate to play; `None` if the capacity is known.
    pub fn next(&self) -> Option<f64> {
        let is_known = match (self.served, self.failed) {
            (Some(served), Some(failed)) => failed <= served * PRECISION,
            (Some(served), None) => served >= self.greatest,
            (None, Some(failed)) => failed <= LEAST,
            (None, None) => false,
        };
        (!is_known).then_some(self.next)
    }

    /// Notes how the last run went.
    pub fn report(&mut self, outcome: Outcome) {
        self.runs += 1;
        self.failures += u32::from(outcome == Outcome::Failed);
        let is_served = outcome == Outcome::Served;
        if !is_served && self.failures < FAILURES && self.runs < RUNS {
            return; // the same rate again
        }
        (self.failures, self.runs) = (0, 0);
        *if is_served { &mut self.served } else { &mut self.failed } = Some(self.next);
        self.next = match (self.served, self.failed) {
            (Some(served), Some(failed)) => (served * failed).sqrt(),
            (Some(served), None) => (served * 2.0).min(self.greatest),
            (None, Some(failed)) => (failed / 2.0).max(LEAST),
            (None, None) => self.next,
        };
    }

    /// The greatest rate that was served; `None` if none was.
    pub fn served(&self) -> Option<f64> {
        self.served
    }

    /// The least rate that was not served; `None` if all were.
    pub fn failed(&self) -> Option<f64> {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome::*, *};

    /// Searches a shop, and returns the search and the rates that it has tried.
    fn search(first: f64, mut play: impl FnMut(f64) -> Outcome) -> (Search, Vec<f64>) {
        let (mut search, mut rates) = (Search::new(first, 200_000.0), Vec::new());
        while let Some(rate) = search.next() {
            assert!(rates.len() < 60, "it does not end: {rates:?}");
            rates.push(rate);
            search.report(play(rate));
        }
        (search, rates)
    }

    fn up_to(capacity: f64, rate: f64) -> Outcome {
        if rate <= capacity { Served } else { Failed }
    }

    #[test]
    fn the_capacity_is_between_two_rates_that_differ_by_a_tenth() {
        for capacity in [1.0, 1.5, 7.0, 99.0, 100.0, 101.0, 2345.0, 150_000.0] {
            let (search, rates) = search(100.0, |rate| up_to(capacity, rate));
            let (served, failed) = (search.served().unwrap(), search.failed().unwrap());
            assert!(served <= capacity && capacity < failed && failed <= served * 1.1, "{capacity}: {search:?}");
            assert!(rates.len() < 30, "{rates:?}");
        }
    }

    #[test]
    fn a_shop_that_serves_nothing_or_everything_ends_the_search_too() {
        let (nothing, _) = search(100.0, |_| Failed);
        assert_eq!((nothing.served(), nothing.failed()), (None, Some(1.0)));
        let (everything, _) = search(100.0, |_| Served);
        assert_eq!((everything.served(), everything.failed()), (Some(200_000.0), None));
    }

    /// Searches a shop of 1,000 buyers a second whose second to `last` run go otherwise.
    fn spoiled(last: usize, outcome: Outcome) -> Search {
        let mut run = 0;
        let play = |rate| {
            run += 1;
            if (2..=last).contains(&run) { outcome } else { up_to(1000.0, rate) }
        };
        search(100.0, play).0
    }

    #[test]
    fn one_bad_second_fails_no_rate() {
        assert!(spoiled(2, Failed).served().unwrap() > 900.0);
        assert_eq!(spoiled(3, Failed).failed(), Some(200.0), "two in a row fail it");
    }

    #[test]
    fn what_the_generator_spoils_is_played_up_to_five_times() {
        assert!(spoiled(5, SentLate).served().unwrap() > 900.0);
        assert_eq!(spoiled(6, SentLate).failed(), Some(200.0));
    }
}
