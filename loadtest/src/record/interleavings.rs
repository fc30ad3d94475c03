//! The records of explored interleavings and of replayed schedules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{
    interleave::{play::Played, step::Mark, trace::Trace},
    verdict::{Verdict, promise::Promise},
    version::{Variant, Version},
};

/// A file of explored interleavings.
pub type Explorations = File<Searches>;

/// Explored interleavings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Searches {
    /// Always `None`: all interleavings are played, so none is drawn at random.
    #[serde(default)]
    pub seed: Option<u64>,
    /// The record of each version.
    pub explored: Vec<Explored>,
}

impl Figures for Searches {
    const KIND: Kind = Kind::Explored;
}

/// A version with all of its interleavings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explored {
    /// The version.
    pub version: Version,
    /// Its variant, if it is one.
    pub variant: Option<Variant>,
    /// Buyers; each has its own instance.
    pub buyers: usize,
    /// Units of the sale.
    pub stock: i64,
    /// The number of interleavings.
    pub orders_of_events: usize,
    /// The number of their equivalence classes; of those that were played if not all were. `None` in a file from before they
    /// were counted.
    #[serde(default)]
    pub classes: Option<usize>,
    /// Interleavings that oversell.
    pub oversell: usize,
    /// Interleavings that leave stock although a buyer was refused.
    pub undersell: usize,
    /// Interleavings in which the audit found anything wrong.
    pub broken: usize,
    /// The total number of optimistic conflicts: statements that changed no row, because what the buyer had read was out of date.
    pub conflicts: usize,
    /// The total number of statements that waited for a lock.
    pub blocked: usize,
    /// The total number of statements that the database aborted in a deadlock.
    pub deadlocks: usize,
    /// Interleavings with too many steps. From that point on, no buyer was held back.
    pub cut_off: usize,
    /// Choices that were not explored because of the limit on interleavings.
    pub not_followed: usize,
    /// The duration of the exploration.
    pub seconds: f64,
    /// The version's promise.
    pub promised: Promise,
    /// Whether the version kept it.
    pub verdict: Verdict,
    /// The shortest interleaving that breaks something; `None` if none does.
    pub shortest: Option<Vec<String>>,
    /// The interleaving to draw: the one that breaks, otherwise one with a conflict, otherwise one with a wait.
    pub shown: Option<Played>,
    /// The interleavings that were played: all of them, or one of each class.
    pub orders: Vec<OrderOfEvents>,
}

/// An interleaving and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderOfEvents {
    /// The buyers in the order in which each was released; the file has it as a schedule.
    #[serde(with = "as_schedule")]
    pub order: Vec<String>,
    /// Each buyer's answer.
    pub told: BTreeMap<String, String>,
    /// Orders above the stock.
    pub oversold: i64,
    /// Units left although a buyer was refused.
    pub undersold: i64,
    /// Optimistic conflicts in this interleaving.
    pub conflicts: usize,
    /// Lock waits in this interleaving.
    pub blocked: usize,
    /// Deadlocks in this interleaving.
    pub deadlocks: usize,
    /// How many interleavings it stands for: those of its class if only one of each class was played, otherwise 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub interleavings: u64,
    /// Its class. A file does not have it.
    #[serde(skip)]
    pub class: Trace,
}

fn one() -> u64 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(n: &u64) -> bool {
    *n == 1
}

/// Writes an interleaving as one short line, `A select · B select`, because a file may have thousands.
mod as_schedule {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(order: &[String], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&order.join(" · "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
        Ok(String::deserialize(from)?.split(" · ").map(str::to_owned).collect())
    }
}

/// A file of replayed schedules.
pub type Replays = File<Playings>;

/// Replayed schedules.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Playings {
    /// Always `None`: a schedule leaves nothing to chance.
    #[serde(default)]
    pub seed: Option<u64>,
    /// One schedule on one version.
    pub replayed: Vec<Replayed>,
}

impl Figures for Playings {
    const KIND: Kind = Kind::Replayed;
}

/// One schedule on one version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// The version.
    pub version: Version,
    /// Its variant, if it is one.
    pub variant: Option<Variant>,
    /// Buyers; each has its own instance.
    pub buyers: usize,
    /// Units of the sale.
    pub stock: i64,
    /// The schedule as it was given.
    pub schedule: String,
    /// How often it was played.
    pub times: usize,
    /// How often the result was the same as the first one, step by step.
    pub same: usize,
    /// The duration of the replays.
    pub seconds: f64,
    /// What in the schedule could not be played, and why.
    pub notes: Vec<String>,
    /// The first replay.
    pub played: Played,
}

impl OrderOfEvents {
    /// The outcome in words.
    pub fn of(played: &Played) -> OrderOfEvents {
        OrderOfEvents {
            order: played.order.clone(),
            told: played.told.clone(),
            oversold: played.audit.oversold,
            undersold: played.audit.undersold,
            conflicts: played.count(Mark::Conflict),
            blocked: played.blocked(),
            deadlocks: played.count(Mark::Deadlock),
            interleavings: 1,
            class: Trace::of(&played.order, &played.footprints),
        }
    }
}
