//! When the buyers of an open loop are due: a pure function, without a clock.
//!
//! The area under the rate is the number of buyers so far. So the `n`th buyer is due when that area is `n`, and Poisson arrivals
//! are the same with random steps of mean 1 instead of steps of 1.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::ensure;
use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::render::text::thousands;

/// The highest rate that is accepted, in buyers a second.
const FASTEST: f64 = 1_000_000.0;
/// A sale of a run is open for an hour. A schedule that takes longer would end at a closed door.
const LONGEST: f64 = 3600.0;
/// No run has more buyers: each has an answer that is kept.
pub const MOST: f64 = 1_000_000.0;
/// The buyers of each span of this length come together, in seconds.
const BURST: f64 = 0.1;
/// An example of `--stages`.
const EXAMPLE: &str = "0:0,5s:1000,30s:5000";

/// How buyers are spread at a given rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// At equal distances
    #[default]
    Constant,
    /// At random and independent of each other, as people come
    Poisson,
    /// All buyers of a tenth of a second at once, at its beginning
    Burst,
}

/// A point of the rate's curve. Between two points the rate changes linearly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds since the beginning.
    pub second: f64,
    /// Buyers a second at that time.
    pub rate: f64,
}

/// When buyers are due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate's curve, from second 0 to the end.
    pub stages: Vec<Point>,
    /// How buyers are spread.
    pub arrivals: Pattern,
}

/// What decides when the next buyer asks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "loop", rename_all = "kebab-case")]
pub enum Load {
    /// An answer: each connection asks again when it has one, so that a slow shop is asked less.
    #[default]
    Closed,
    /// The schedule, whether or not the shop keeps up.
    Open(Schedule),
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Load::Closed => f.write_str("closed loop"),
            Load::Open(schedule) => write!(f, "open loop, {schedule}"),
        }
    }
}

impl Schedule {
    /// The same rate for as long as somebody wants to measure: a day.
    pub fn steady(rate: f64) -> Schedule {
        let at = |second| Point { second, rate };
        Schedule { stages: vec![at(0.0), at(86_400.0)], arrivals: Pattern::Constant }
    }

    /// The same rate for this time.
    ///
    /// # Errors
    /// The rate or the time is 0, or too large.
    pub fn constant(rate: f64, lasts: Duration, arrivals: Pattern) -> anyhow::Result<Schedule> {
        let at = |second| Point { second, rate };
        Schedule { stages: vec![at(0.0), at(lasts.as_secs_f64())], arrivals }.checked()
    }

    /// Reads `0:0,5s:1000,30s:5000`: times and rates.
    ///
    /// # Errors
    /// It is written otherwise, the times go backwards, or a rate or a time is too large.
    pub fn stages(text: &str, arrivals: Pattern) -> anyhow::Result<Schedule> {
        let point = |pair: &str| {
            let (time, rate) = pair.split_once(':').ok_or_else(|| format!("`{pair}` is no time:rate pair"))?;
            let second = if time == "0" { 0.0 } else { seconds(time)?.as_secs_f64() };
            Ok(Point { second, rate: per_second(rate)? })
        };
        let stages: Result<Vec<_>, String> = text.split(',').map(str::trim).map(point).collect();
        let stages = stages.map_err(|why| anyhow::anyhow!("--stages: {why}; write for example {EXAMPLE}"))?;
        Schedule { stages, arrivals }.checked()
    }

    fn checked(self) -> anyhow::Result<Schedule> {
        let stages = &self.stages;
        ensure!(stages.len() > 1, "--stages needs two time:rate pairs or more; write for example {EXAMPLE}");
        ensure!(stages[0].second == 0.0, "--stages begins at 0; write for example {EXAMPLE}");
        if let Some(pair) = stages.windows(2).find(|pair| pair[1].second < pair[0].second) {
            let (first, then) = (pair[0].second, pair[1].second);
            anyhow::bail!("--stages goes backwards, from {first} s to {then} s; write the times in rising order");
        }
        if let Some(Point { rate, .. }) = stages.iter().find(|point| point.rate > FASTEST) {
            anyhow::bail!("{rate}/s is too fast: write a rate of at most {}/s", thousands(FASTEST as i64));
        }
        ensure!(self.lasts() > Duration::ZERO, "the load lasts no time: write a longer --duration, for example 10s");
        ensure!(
            self.lasts().as_secs_f64() <= LONGEST,
            "a sale is open for an hour: write a shorter time, for example 60s"
        );
        ensure!(stages.iter().any(|point| point.rate > 0.0), "at a rate of 0 no buyer comes: write for example 100/s");
        let area = |pair: &[Point]| (pair[0].rate + pair[1].rate) / 2.0 * (pair[1].second - pair[0].second);
        let buyers: f64 = stages.windows(2).map(area).sum();
        let most = thousands(MOST as i64);
        ensure!(
            buyers <= MOST,
            "{} buyers are more than {most}: write a lower rate or a shorter time",
            thousands(buyers as i64)
        );
        Ok(self)
    }

    /// From the beginning to the end.
    pub fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.stages.last().map_or(0.0, |point| point.second))
    }

    /// The rate at this time since the beginning, in buyers a second; 0 after the end.
    pub fn rate_at(&self, time: Duration) -> f64 {
        let second = time.as_secs_f64();
        let stage = self.stages.windows(2).find(|pair| pair[0].second <= second && second < pair[1].second);
        stage.map_or(0.0, |pair| {
            let share = (second - pair[0].second) / (pair[1].second - pair[0].second);
            pair[0].rate + (pair[1].rate - pair[0].rate) * share
        })
    }

    /// When each buyer is due, counted from the beginning. The seed decides where chance does.
    pub fn due(&self, seed: u64) -> impl Iterator<Item = Duration> + Send + use<> {
        let (stages, arrivals, mut rng) = (self.stages.clone(), self.arrivals, Rng::with_seed(seed));
        let (mut next, mut before, mut stage) = (0.0, 0.0, 0);
        std::iter::from_fn(move || {
            let step = match arrivals {
                Pattern::Constant | Pattern::Burst => 1.0,
                Pattern::Poisson => -(1.0 - rng.f64()).ln(),
            };
            // The first of those at equal distances is due at once; the first of those at random is not.
            let area = if arrivals == Pattern::Poisson { next + step } else { next };
            next += step;
            loop {
                let (from, to) = (stages[stage], *stages.get(stage + 1)?);
                let of_stage = (from.rate + to.rate) / 2.0 * (to.second - from.second);
                if area - before < of_stage {
                    let second = from.second + time_of(area - before, from, to);
                    let second = if arrivals == Pattern::Burst { (second / BURST).floor() * BURST } else { second };
                    return Some(Duration::from_secs_f64(second));
                }
                before += of_stage;
                stage += 1;
            }
        })
    }
}

/// How many seconds after `from` the area under the rate is `area`.
fn time_of(area: f64, from: Point, to: Point) -> f64 {
    let slope = (to.rate - from.rate) / (to.second - from.second);
    // The solution of `rate·t + slope·t²/2 = area` that does not divide by the slope, which may be 0.
    let root = (from.rate * from.rate + 2.0 * slope * area).max(0.0).sqrt();
    if area > 0.0 { 2.0 * area / (from.rate + root) } else { 0.0 }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let count = |rate: f64| if rate < 10.0 { rate.to_string() } else { thousands(rate as i64) };
        match self.stages.as_slice() {
            [from, to] if from.rate == to.rate => write!(f, "{}/s for {} s", count(from.rate), to.second)?,
            stages => {
                let points: Vec<_> =
                    stages.iter().map(|at| format!("{}/s at {} s", count(at.rate), at.second)).collect();
                f.write_str(&points.join(", "))?;
            }
        }
        match self.arrivals {
            Pattern::Constant => Ok(()),
            Pattern::Poisson => f.write_str(", Poisson arrivals"),
            Pattern::Burst => f.write_str(", in bursts"),
        }
    }
}

/// Reads `10s`, `500ms` or `2m`.
///
/// # Errors
/// It is written otherwise.
pub fn seconds(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let time = units.into_iter().find_map(|(unit, length)| Some(number(text.strip_suffix(unit)?)? * length));
    let time = time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.ok_or_else(|| format!("`{text}` is no time: write for example 10s, 500ms or 2m"))
}

/// Reads `2000/s` or `2000`.
///
/// # Errors
/// It is written otherwise.
pub fn per_second(text: &str) -> Result<f64, String> {
    let rate = number(text.strip_suffix("/s").unwrap_or(text));
    rate.ok_or_else(|| format!("`{text}` is no rate: write for example 2000/s"))
}

fn number(text: &str) -> Option<f64> {
    f64::from_str(text).ok().filter(|n| n.is_finite() && *n >= 0.0)
}

#[cfg(test)]
mod tests;
