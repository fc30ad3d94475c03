//! What one picture of the live screen shows.

use std::time::Duration;

use crate::{render::text::thousands, verdict::latency::Latency};

/// The numbers of one picture.
#[derive(Debug, Clone)]
pub struct Numbers {
    /// The version and the scenario.
    pub title: String,
    /// Who comes, and when.
    pub load: String,
    /// Answers per second, in short spans of equal length. The last span is the newest.
    pub rates: Vec<u64>,
    /// Answers per second, over the last second.
    pub rate: f64,
    /// Buyers per second whom an open loop sends now; `None` in a closed loop.
    pub offered: Option<f64>,
    /// The buyers with each outcome, without outcomes that nobody had.
    pub told: Vec<(&'static str, u64)>,
    /// How long buyers waited so far; `None` if there are no answers.
    pub latency: Option<Latency>,
    /// From when latency counts.
    pub since: &'static str,
    /// Buyers who were told that they have a unit.
    pub yes: u64,
    /// The units that there are.
    pub units: i64,
    /// How far the run is.
    pub phase: Phase,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The shop starts, and connections are opened.
    Starting,
    /// Buyers come, for so long by now.
    Coming(Duration, Left),
    /// All buyers have an answer, and the audit follows.
    Auditing,
    /// The user has ended the run.
    Ending,
}

/// What is left of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The time until the last buyer of an open loop comes.
    Time(Duration),
    /// The buyers of a closed loop who have no answer yet.
    Buyers(u64),
}

impl Phase {
    /// The phase in a short sentence.
    pub fn says(&self) -> String {
        match self {
            Phase::Starting => "the shop starts".into(),
            Phase::Coming(_, Left::Time(Duration::ZERO)) => "the last buyers wait for their answers".into(),
            Phase::Coming(since, left) => format!("{:.1} s so far, {} left", since.as_secs_f64(), left.says()),
            Phase::Auditing => "all have an answer, the audit follows".into(),
            Phase::Ending => "ended by q or Ctrl-C, the audit follows".into(),
        }
    }

    /// What the keys do now.
    pub(super) fn keys(&self) -> &'static str {
        match self {
            Phase::Starting | Phase::Coming(..) | Phase::Auditing => "q ends the run and keeps the report",
            Phase::Ending => "Ctrl-C ends at once, without a report",
        }
    }
}

impl Left {
    fn says(&self) -> String {
        match self {
            Left::Time(time) => format!("{:.1} s", time.as_secs_f64()),
            Left::Buyers(buyers) => format!("{} buyers", thousands(*buyers as i64)),
        }
    }
}
