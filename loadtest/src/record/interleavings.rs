//! What came of all orders of events, and of a schedule: as it is written to a file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{
    interleave::{play::Played, step::Mark},
    verdict::{Verdict, promise::Promise},
    version::{Variant, Version},
};

/// A file of what was explored.
pub type Explorations = File<Searches>;

/// What was explored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Searches {
    /// Version by version.
    pub explored: Vec<Explored>,
}

impl Figures for Searches {
    const KIND: Kind = Kind::Explored;
}

/// A version, and every order of events there is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explored {
    /// The crate.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// Buyers, each with an instance of its own.
    pub buyers: usize,
    /// Units.
    pub stock: i64,
    /// How many orders of events were played.
    pub orders_of_events: usize,
    /// Of those, in how many more was sold than there is.
    pub oversell: usize,
    /// In how many stock is left, though a buyer was refused for it.
    pub undersell: usize,
    /// In how many anything was not as it has to be.
    pub broken: usize,
    /// Statements that were refused because what their buyer had read was not true any more, in all of them.
    pub conflicts: usize,
    /// Statements that waited for a lock, in all of them.
    pub blocked: usize,
    /// Statements that the database ended because they waited for each other, in all of them.
    pub deadlocks: usize,
    /// Orders that took too many steps; from there on nobody was held.
    pub cut_off: usize,
    /// Choices that were not taken because so many orders were not to be played.
    pub not_followed: usize,
    /// How long it took.
    pub seconds: f64,
    /// What the version promises.
    pub promised: Promise,
    /// Whether it did that.
    pub verdict: Verdict,
    /// The shortest order that breaks something.
    pub shortest: Option<Vec<String>>,
    /// The order that the picture shows: that one, or one with a conflict, or one with a wait.
    pub shown: Option<Played>,
    /// Every order.
    pub orders: Vec<OrderOfEvents>,
}

/// An order of events and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderOfEvents {
    /// Who was let go, one after the other; in the file as a schedule is written.
    #[serde(with = "as_schedule")]
    pub order: Vec<String>,
    /// What each buyer was told.
    pub told: BTreeMap<String, String>,
    /// Orders beyond the stock.
    pub oversold: i64,
    /// Stock left, though a buyer was refused.
    pub undersold: i64,
    /// As of the whole.
    pub conflicts: usize,
    /// As of the whole.
    pub blocked: usize,
    /// As of the whole.
    pub deadlocks: usize,
}

/// `A select · B select`: a line each, where there are thousands.
mod as_schedule {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(order: &[String], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&order.join(" · "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        Ok(String::deserialize(from)?.split(" · ").map(str::to_owned).collect())
    }
}

/// A file of schedules that were played.
pub type Replays = File<Playings>;

/// Schedules that were played.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Playings {
    /// One schedule on one version.
    pub replayed: Vec<Replayed>,
}

impl Figures for Playings {
    const KIND: Kind = Kind::Replayed;
}

/// A schedule on a version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// The crate.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// Buyers, each with an instance of its own.
    pub buyers: usize,
    /// Units.
    pub stock: i64,
    /// As it was handed over.
    pub schedule: String,
    /// How often it was played.
    pub times: usize,
    /// How often it came out as the first time, step by step.
    pub same: usize,
    /// How long it took.
    pub seconds: f64,
    /// What of the schedule could not be, and why.
    pub notes: Vec<String>,
    /// The first time.
    pub played: Played,
}

impl OrderOfEvents {
    /// What came of it.
    pub fn of(played: &Played) -> OrderOfEvents {
        OrderOfEvents {
            order: played.order.clone(),
            told: played.told.clone(),
            oversold: played.audit.oversold,
            undersold: played.audit.undersold,
            conflicts: played.count(Mark::Conflict),
            blocked: played.blocked(),
            deadlocks: played.count(Mark::Deadlock),
        }
    }
}
