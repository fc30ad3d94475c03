//! The conditions that fail a run, such as `p99(bought)>50ms`. The user sets them with `--fail-if`.

/// When a run is certain to fail before it is over.
pub mod early;
mod parse;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::latency::Latency;
use crate::{
    buyer::arrivals::Arrivals,
    record::Run,
    render::text::{significant, thousands},
};

/// A condition that fails a run. Files hold it as the user typed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Threshold {
    text: String,
    figure: Figure,
    comparison: Comparison,
    limit: f64,
    unit: Unit,
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Figure {
    /// A percentile of the latency of the buyers with this outcome.
    Latency(Percentile, String),
    Oversold,
    Undersold,
    /// Buyers whose answer was neither yes nor no.
    Errors,
    /// Visitors of an open loop who found no free connection.
    Dropped,
    /// Visitors of an open loop whom the generator sent too late.
    Late,
    /// Requests per second.
    Rps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Percentile {
    P50,
    P90,
    P99,
    P999,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Count,
    Percent,
    Ms,
}

/// A threshold, and what a run has measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The threshold.
    pub threshold: Threshold,
    /// In the unit of the threshold: milliseconds, percent, or a count. `None` if there were no samples.
    pub measured: Option<f64>,
    /// Whether the run failed it. A threshold over no samples is failed: it has shown nothing.
    pub failed: bool,
}

impl Threshold {
    /// Holds a run against it.
    pub fn check(&self, run: &Run) -> Checked {
        let measured = self.measured(run);
        Checked { threshold: self.clone(), measured, failed: measured.is_none_or(|value| self.is_failed_by(value)) }
    }

    fn measured(&self, run: &Run) -> Option<f64> {
        let asked = run.outcomes.values().sum::<u64>();
        match &self.figure {
            Figure::Latency(percentile, outcome) => latency(run, outcome).map(|latency| percentile.of(latency)),
            Figure::Oversold => (asked > 0).then_some(run.audit.oversold as f64),
            Figure::Undersold => (asked > 0).then_some(run.audit.undersold as f64),
            Figure::Errors => self.counted(run.told("unknown") + run.told("queued"), asked),
            Figure::Dropped => arrivals(run).and_then(|came| self.counted(came.dropped as u64, came.planned as u64)),
            Figure::Late => arrivals(run).and_then(|came| self.counted(came.late as u64, came.planned as u64)),
            Figure::Rps => (run.requests > 0).then_some(run.requests_per_second),
        }
    }

    /// `n` of `all` in the threshold's unit; `None` if `all` is 0.
    fn counted(&self, n: u64, all: u64) -> Option<f64> {
        let value = match self.unit {
            Unit::Percent => n as f64 * 100.0 / all as f64,
            Unit::Count | Unit::Ms => n as f64,
        };
        (all > 0).then_some(value)
    }

    fn is_failed_by(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
        }
    }
}

impl Percentile {
    fn of(self, latency: &Latency) -> f64 {
        match self {
            Percentile::P50 => latency.p50,
            Percentile::P90 => latency.p90,
            Percentile::P99 => latency.p99,
            Percentile::P999 => latency.p999,
            Percentile::Max => latency.max,
        }
    }
}

impl Checked {
    /// The measured value as text: `12.345 ms`, `0.003 %`, `7`, or `no samples`.
    pub fn value(&self) -> String {
        match (self.measured, self.threshold.unit) {
            (None, _) => "no samples".into(),
            (Some(value), Unit::Ms) => format!("{value} ms"),
            (Some(value), Unit::Percent) => format!("{} %", significant(value)),
            (Some(value), Unit::Count) => thousands(value as i64),
        }
    }
}

/// The latency of the buyers with this outcome; `None` if the run has none.
fn latency<'a>(run: &'a Run, outcome: &str) -> Option<&'a Latency> {
    match outcome {
        "bought" => run.latency_ms.bought.as_ref(),
        "refused" => run.latency_ms.refused.as_ref(),
        _ => run.outcome_ms.get(outcome).map(|times| &times.latency),
    }
}

/// The arrivals of an open loop: the honest visitors of a flood, or the bystanders beside a stampede. `None` for a closed loop.
fn arrivals(run: &Run) -> Option<Arrivals> {
    let open_loop = run.open_loop.as_ref().map(|came| came.arrivals);
    let flood = run.flood.as_ref().map(|flood| flood.visitors);
    open_loop.or(flood).or_else(|| run.bystander.as_ref().map(|bystander| bystander.arrivals_beside))
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl From<Threshold> for String {
    fn from(threshold: Threshold) -> String {
        threshold.text
    }
}

#[cfg(test)]
mod tests;
