//! What came of all orders of events, and of a schedule: as it is written to a file.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{play::Played, step::Mark};
use crate::{
    machine::{Machine, commit},
    promise::Promise,
    record::{self, SCHEMA},
    verdict::Verdict,
    version::{Variant, Version},
};

/// A file of what was explored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Explorations {
    /// As of a file of runs.
    pub schema: u32,
    /// Where.
    pub machine: Machine,
    /// Of which commit, `-dirty` if the working tree differed; nothing outside a checkout.
    pub commit: Option<String>,
    /// What was typed.
    pub command: String,
    /// Version by version.
    pub explored: Vec<Explored>,
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Replays {
    /// As of a file of runs.
    pub schema: u32,
    /// Where.
    pub machine: Machine,
    /// Of which commit, `-dirty` if the working tree differed; nothing outside a checkout.
    pub commit: Option<String>,
    /// What was typed.
    pub command: String,
    /// One schedule on one version.
    pub replayed: Vec<Replayed>,
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

impl Explorations {
    /// A file of these, made here and now.
    pub fn new(explored: Vec<Explored>) -> Explorations {
        let (machine, command) = (Machine::this(), record::command());
        Explorations { schema: SCHEMA, machine, commit: commit(), command, explored }
    }

    /// Reads a file that [`Explorations::write`] has written.
    ///
    /// # Errors
    /// It cannot be read, is cut off, is no such file, or is of a schema that this program does not know.
    pub fn read(path: &Path) -> anyhow::Result<Explorations> {
        record::read(path)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        record::write(self, path)
    }
}

impl Replays {
    /// A file of these, made here and now.
    pub fn new(replayed: Vec<Replayed>) -> Replays {
        let (machine, command) = (Machine::this(), record::command());
        Replays { schema: SCHEMA, machine, commit: commit(), command, replayed }
    }

    /// Reads a file that [`Replays::write`] has written.
    ///
    /// # Errors
    /// As [`Explorations::read`].
    pub fn read(path: &Path) -> anyhow::Result<Replays> {
        record::read(path)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        record::write(self, path)
    }
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
