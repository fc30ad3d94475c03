//! Chooses the rates: doubles or halves until one is served and one is not, then halves the distance.

/// The search ends when the least rate that failed is at most this many times the greatest that was served.
const PRECISION: f64 = 1.1;
/// The least rate, in buyers per second.
const LEAST: f64 = 1.0;

/// A search for the greatest rate that is served.
#[derive(Debug, Clone)]
pub struct Search {
    next: f64,
    greatest: f64,
    served: Option<f64>,
    failed: Option<f64>,
    /// Whether the next rate has failed once. A stall of the machine fails a rate, too, so a rate fails only twice in a row.
    has_failed: bool,
}

impl Search {
    /// Begins with `rate` and never exceeds `greatest`, both in buyers per second.
    pub fn new(rate: f64, greatest: f64) -> Search {
        Search { next: rate.max(LEAST).min(greatest), greatest, served: None, failed: None, has_failed: false }
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

    /// Notes whether the last rate was served.
    pub fn report(&mut self, is_served: bool) {
        self.has_failed = !is_served && !self.has_failed;
        if self.has_failed {
            return; // the same rate again
        }
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
    use super::*;

    /// Searches a shop that serves up to `capacity`, and returns the search and the rates that it has tried.
    fn search(first: f64, mut is_served: impl FnMut(f64) -> bool) -> (Search, Vec<f64>) {
        let (mut search, mut rates) = (Search::new(first, 200_000.0), Vec::new());
        while let Some(rate) = search.next() {
            assert!(rates.len() < 60, "it does not end: {rates:?}");
            rates.push(rate);
            search.report(is_served(rate));
        }
        (search, rates)
    }

    #[test]
    fn the_capacity_is_between_two_rates_that_differ_by_a_tenth() {
        for capacity in [1.0, 1.5, 7.0, 99.0, 100.0, 101.0, 2345.0, 150_000.0] {
            let (search, rates) = search(100.0, |rate| rate <= capacity);
            let (served, failed) = (search.served().unwrap(), search.failed().unwrap());
            assert!(served <= capacity && capacity < failed && failed <= served * 1.1, "{capacity}: {search:?}");
            assert!(rates.len() < 30, "{rates:?}");
        }
    }

    #[test]
    fn a_shop_that_serves_nothing_or_everything_ends_the_search_too() {
        let (nothing, _) = search(100.0, |_| false);
        assert_eq!((nothing.served(), nothing.failed()), (None, Some(1.0)));
        let (everything, _) = search(100.0, |_| true);
        assert_eq!((everything.served(), everything.failed()), (Some(200_000.0), None));
    }

    #[test]
    fn one_bad_second_fails_no_rate() {
        let mut played = 0;
        let (search, _) = search(100.0, |rate| {
            played += 1;
            rate <= 1000.0 && played != 2
        });
        assert!(search.served().unwrap() > 900.0, "{search:?}");
    }
}
