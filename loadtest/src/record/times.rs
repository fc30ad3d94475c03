//! Latencies and service times of a crowd, and the arrivals of an open loop.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    buyer::{
        arrivals::{Arrivals, LATE},
        open_loop::Visits,
    },
    render::text::{percent, thousands},
    verdict::{
        history::Told,
        latency::{Distribution, Latency},
    },
};

/// The times of all buyers. Latency counts from when a buyer wanted to buy, service time from when the request was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// From when a buyer wanted to buy to the answer.
    pub latency: Distribution,
    /// From when the request was sent to the answer.
    pub service: Distribution,
}

/// The times of the buyers with one kind of answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OutcomeTimes {
    /// From when a buyer wanted to buy to the answer.
    pub latency: Latency,
    /// From when the request was sent to the answer.
    pub service: Latency,
}

/// Separate latencies, because a quick no would hide a slow yes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latencies {
    /// Of buyers who got a unit.
    pub bought: Option<Latency>,
    /// Of buyers who were refused.
    pub refused: Option<Latency>,
}

/// The rates and arrivals of an open loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenLoop {
    /// The average rate of the schedule, in buyers per second.
    pub offered_per_second: f64,
    /// The average rate until the last buyer was sent, in buyers per second.
    pub reached_per_second: f64,
    /// How many buyers were planned, and how many of them the generator dropped or sent late.
    pub arrivals: Arrivals,
    /// Answers that came more than 100 ms after their buyer was due.
    pub late_answers: usize,
    /// The generator's own lag: how much later than due it sent each buyer. `None` if none was sent.
    pub lag: Option<Distribution>,
}

impl Times {
    /// The times of all buyers; `None` if there are none.
    pub fn of(history: &[Told]) -> Option<Times> {
        Some(Times {
            latency: Distribution::of_samples(history.iter().map(Told::latency))?,
            service: Distribution::of_samples(history.iter().map(Told::service_time))?,
        })
    }
}

/// The times of the buyers by kind of answer.
pub fn times_by_outcome(history: &[Told]) -> BTreeMap<String, OutcomeTimes> {
    let mut by_outcome: BTreeMap<&str, Vec<&Told>> = BTreeMap::new();
    for told in history {
        by_outcome.entry(told.answer.kind()).or_default().push(told);
    }
    let times = |told: Vec<&Told>| {
        Some(OutcomeTimes {
            latency: Latency::of_samples(told.iter().map(|told| told.latency()))?,
            service: Latency::of_samples(told.iter().map(|told| told.service_time()))?,
        })
    };
    by_outcome.into_iter().filter_map(|(kind, told)| Some((kind.to_owned(), times(told)?))).collect()
}

impl OpenLoop {
    /// The rates and arrivals of these visits; `lasts` is the length of the schedule.
    pub(crate) fn of(visits: &Visits, lasts: Duration) -> OpenLoop {
        let last = visits.history.iter().map(|told| told.sent).max().unwrap_or_default();
        OpenLoop {
            offered_per_second: visits.arrivals.planned as f64 / lasts.as_secs_f64(),
            reached_per_second: visits.arrivals.sent() as f64 / lasts.max(last).as_secs_f64(),
            arrivals: visits.arrivals,
            late_answers: visits.history.iter().filter(|told| told.latency() > LATE).count(),
            lag: Distribution::of_samples(visits.lags.iter().copied()),
        }
    }

    /// Why the figures are invalid; `None` if nearly all buyers came on time.
    pub(crate) fn invalid(&self) -> Option<String> {
        let why = self.arrivals.invalid()?;
        Some(format!("{why}: write a lower rate, or more --connections"))
    }

    /// The rates, the late answers and the generator's lag, in words.
    pub(crate) fn says(&self) -> String {
        let count = |n: f64| thousands(n.round() as i64);
        let (late, sent) = (self.late_answers, self.arrivals.sent());
        let mut says = format!(
            "{}/s offered, {}/s reached; {} of the answers came more than 100 ms after their buyer was due ({})",
            count(self.offered_per_second),
            count(self.reached_per_second),
            thousands(late as i64),
            percent(late as f64, sent as f64),
        );
        if let Some(Distribution { latency: lag, .. }) = &self.lag {
            says += &format!("; the generator sent p99 {:.1} ms, at most {:.1} ms, too late", lag.p99, lag.max);
        }
        if let Some(missed) = self.arrivals.missed() {
            says += &format!("; {missed}");
        }
        says
    }
}
