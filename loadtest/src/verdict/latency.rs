//! How long buyers waited.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::history::{Answer, Told};

/// The longest time of a histogram, in microseconds: an hour. Longer times count as an hour.
const LONGEST: u64 = 3_600_000_000;
/// The significant digits of a histogram: a percentile is off by at most a thousandth.
const DIGITS: u8 = 3;
/// The end of a distribution's first bucket in microseconds, and the ratio of each bucket's end to the one before it.
const FIRST_BUCKET: u64 = 50;
const WIDER: f64 = 1.25;

/// Percentiles in milliseconds, each exact to a thousandth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// The number of samples.
    pub count: usize,
    /// Half of the samples are shorter.
    pub p50: f64,
    /// 90 of 100 samples are shorter.
    pub p90: f64,
    /// 99 of 100 samples are shorter.
    pub p99: f64,
    /// 999 of 1,000 samples are shorter.
    pub p999: f64,
    /// The longest sample.
    pub max: f64,
}

/// Percentiles and a histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// The percentiles.
    #[serde(flatten)]
    pub latency: Latency,
    /// The histogram, from the shortest time on. Empty buckets are left out.
    pub buckets: Vec<Bucket>,
}

/// A bar of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// The longest time in it, in milliseconds.
    pub up_to_ms: f64,
    /// The number of samples in it.
    pub count: u64,
}

impl Latency {
    /// The latency of the answers for which `which` holds; `None` if there are none.
    pub fn of<'a>(history: impl IntoIterator<Item = &'a Told>, which: impl Fn(&Answer) -> bool) -> Option<Latency> {
        let chosen = history.into_iter().filter(|told| which(&told.answer));
        Latency::of_samples(chosen.map(Told::latency))
    }

    /// Of these samples; `None` if there are none.
    pub fn of_samples(samples: impl IntoIterator<Item = Duration>) -> Option<Latency> {
        Latency::of_histogram(&histogram(samples)?)
    }

    /// Of samples that were counted by their time in microseconds; `None` if there are none.
    pub(crate) fn of_counts(counts: impl IntoIterator<Item = (u64, u64)>) -> Option<Latency> {
        let mut histogram = empty()?;
        for (us, count) in counts {
            histogram.saturating_record_n(us, count);
        }
        Latency::of_histogram(&histogram)
    }

    fn of_histogram(histogram: &Histogram<u64>) -> Option<Latency> {
        let at = |share: f64| ms(histogram.value_at_quantile(share));
        let count = histogram.len() as usize;
        (count > 0).then(|| Latency { count, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) })
    }
}

impl Distribution {
    /// Of these samples; `None` if there are none.
    pub fn of_samples(samples: impl IntoIterator<Item = Duration>) -> Option<Distribution> {
        let histogram = histogram(samples)?;
        let steps = histogram.iter_log(FIRST_BUCKET, WIDER);
        let buckets = steps.map(|step| (step.value_iterated_to(), step.count_since_last_iteration()));
        let buckets = buckets.filter(|(_, count)| *count > 0);
        let buckets = buckets.map(|(us, count)| Bucket { up_to_ms: ms(us), count }).collect();
        Some(Distribution { latency: Latency::of_histogram(&histogram)?, buckets })
    }
}

/// An empty histogram of microseconds. It is `None` only if the library does not accept the bounds, which are fixed here.
fn empty() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST, DIGITS).ok()
}

/// The histogram of these samples, in microseconds.
fn histogram(samples: impl IntoIterator<Item = Duration>) -> Option<Histogram<u64>> {
    let mut histogram = empty()?;
    for sample in samples {
        histogram.saturating_record(sample.as_micros() as u64);
    }
    Some(histogram)
}

fn ms(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ms: u64) -> Told {
        let (wanted, answered) = (Duration::ZERO, Duration::from_millis(ms));
        Told { buyer_id: 1, sale_id: 1, wanted, sent: wanted, answered, answer: Answer::Refused("sold-out".into()) }
    }

    #[test]
    fn quantiles_are_right_to_a_thousandth() {
        let history: Vec<_> = (1..=1000).rev().map(told).collect();
        let Latency { count, p50, p90, p99, p999, max } = Latency::of(&history, |_| true).unwrap();
        assert_eq!(count, 1000);
        for (is, ought) in [(p50, 500.0), (p90, 900.0), (p99, 990.0), (p999, 999.0), (max, 1000.0)] {
            assert!((is / ought - 1.0_f64).abs() <= 1e-3, "{is} is not {ought}");
        }
        assert!((Latency::of(&history[..1], |_| true).unwrap().p50 - 1000.0).abs() <= 1.0);
        assert_eq!(Latency::of_samples([Duration::ZERO]).unwrap().max, 0.0);
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(Latency::of(&[told(1)], |answer| matches!(answer, Answer::Unknown)), None);
        assert_eq!(Distribution::of_samples([]), None);
    }

    #[test]
    fn a_distribution_has_every_sample_in_one_bucket() {
        let times = [0, 1, 1, 5, 1000, 7_200_000].map(Duration::from_millis);
        let Distribution { latency, buckets } = Distribution::of_samples(times).unwrap();
        assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), 6);
        assert!(buckets.is_sorted_by(|a, b| a.up_to_ms < b.up_to_ms), "{buckets:?}");
        assert!(latency.max >= 3_600_000.0, "longer times count as an hour");
    }
}
