//! What buyers were told so far, and how long they waited: counters that can be read while a run plays.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::verdict::{
    history::{Answer, KINDS},
    latency::Latency,
};

/// Times below this many microseconds have a counter each.
const EXACT: u64 = 64;
/// Longer times share counters: each power of two has this many, so that a time is off by a thirty-second at most.
const PARTS: u64 = EXACT / 2;
/// The counters for times up to 71 minutes. Longer times count as that.
const TIMES: usize = bucket(u32::MAX as u64) + 1;

/// Counts answers by kind and by latency.
///
/// There is no lock: an answer adds one to two counters, and buyers on other processors do the same. On two processors that takes
/// about 30 ns, and about 60 ns while the other one counts, too. A request takes the generator about 8 µs, so the counters cost it less
/// than a hundredth.
#[derive(Debug)]
pub struct Tally {
    /// The kinds in the order of [`KINDS`]; the last counter is for any other kind.
    kinds: [AtomicU64; KINDS.len() + 1],
    times: [AtomicU64; TIMES],
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { kinds: [const { AtomicU64::new(0) }; _], times: [const { AtomicU64::new(0) }; _] }
    }
}

impl Tally {
    pub(crate) fn count(&self, answer: &Answer, latency: Duration) {
        let kind = KINDS.iter().position(|kind| *kind == answer.kind()).unwrap_or(KINDS.len());
        self.kinds[kind].fetch_add(1, Relaxed);
        self.times[bucket(latency.as_micros() as u64)].fetch_add(1, Relaxed);
    }

    /// The kinds of answers that were given, and how many of each.
    pub fn kinds(&self) -> Vec<(&'static str, u64)> {
        let kinds = KINDS.into_iter().chain(["another answer"]);
        let counts = self.kinds.iter().map(|count| count.load(Relaxed));
        kinds.zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Percentiles of all answers, at most a thirty-second too long; `None` if there are no answers.
    pub fn latency(&self) -> Option<Latency> {
        let counts = self.times.iter().enumerate().map(|(n, count)| (longest(n), count.load(Relaxed)));
        Latency::of_counts(counts.filter(|(_, count)| *count > 0))
    }
}

/// The counter for a time in microseconds.
const fn bucket(us: u64) -> usize {
    let us = if us > u32::MAX as u64 { u32::MAX as u64 } else { us };
    let halvings = if us < EXACT { 0 } else { us.ilog2() - (EXACT.ilog2() - 1) };
    (PARTS * halvings as u64 + (us >> halvings)) as usize
}

/// The longest time that a counter stands for, in microseconds.
fn longest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let halvings = (bucket / PARTS).saturating_sub(1);
    ((bucket - PARTS * halvings + 1) << halvings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_off_by_a_thirty_second_at_most() {
        let mut before = None;
        for us in (0..100_000).chain((100_000..u64::from(u32::MAX)).step_by(999_983)) {
            let (bucket, longest) = (bucket(us), longest(bucket(us)));
            assert!(longest >= us && longest as f64 <= us as f64 * (1.0 + 1.0 / 32.0), "{us} counts as {longest}");
            assert!(before <= Some(bucket), "longer times have later counters");
            before = Some(bucket);
        }
        assert_eq!(bucket(u64::MAX), TIMES - 1);
    }

    #[test]
    fn answers_are_counted_by_kind_and_time() {
        let tally = Tally::default();
        assert_eq!((tally.kinds(), tally.latency()), (vec![], None));
        let no = |kind: &str| Answer::Refused(kind.into());
        for (answer, ms) in [(Answer::Bought { order_id: 1 }, 10), (no("sold-out"), 20), (no("teapot"), 1000)] {
            tally.count(&answer, Duration::from_millis(ms));
        }
        assert_eq!(tally.kinds(), [("bought", 1), ("sold-out", 1), ("another answer", 1)]);
        let latency = tally.latency().unwrap();
        assert!(latency.count == 3 && (20.0..21.0).contains(&latency.p50) && latency.max < 1040.0, "{latency:?}");
    }
}
