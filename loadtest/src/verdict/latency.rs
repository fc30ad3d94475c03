//! How long buyers waited.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::history::{Answer, Told};

/// Latencies in milliseconds; exact, from all samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Samples.
    pub count: usize,
    /// Half were faster.
    pub p50: f64,
    /// 90 of 100 were faster.
    pub p90: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// 999 of 1,000 were faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// Of those for which `which` holds; nothing if there are none.
    pub fn of<'a>(history: impl IntoIterator<Item = &'a Told>, which: impl Fn(&Answer) -> bool) -> Option<Latency> {
        let chosen = history.into_iter().filter(|told| which(&told.answer));
        Latency::of_samples(chosen.map(Told::latency))
    }

    /// Of these; nothing if there are none.
    pub fn of_samples(samples: impl IntoIterator<Item = Duration>) -> Option<Latency> {
        let mut samples: Vec<_> = samples.into_iter().map(|sample| sample.as_micros() as u64).collect();
        samples.sort_unstable();
        let last = samples.len().checked_sub(1)?;
        let at =
            |share: f64| samples[((samples.len() as f64 * share).ceil() as usize).clamp(1, last + 1) - 1] as f64 / 1e3;
        Some(Latency { count: samples.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max: at(1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ms: u64) -> Told {
        let answer = Answer::Refused("sold-out".into());
        Told { buyer_id: 1, sale_id: 1, wanted: Duration::ZERO, answered: Duration::from_millis(ms), answer }
    }

    #[test]
    fn quantiles_are_samples() {
        let history: Vec<_> = (1..=1000).rev().map(told).collect();
        let latency = Latency::of(&history, |_| true).unwrap();
        assert_eq!(latency, Latency { count: 1000, p50: 500.0, p90: 900.0, p99: 990.0, p999: 999.0, max: 1000.0 });
        assert_eq!(Latency::of(&history[..1], |_| true).unwrap().p50, 1000.0);
    }

    #[test]
    fn nothing_has_no_latency() {
        assert_eq!(Latency::of(&[told(1)], |answer| matches!(answer, Answer::Unknown)), None);
    }
}
