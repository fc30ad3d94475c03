//! What a schedule has to reach, and how that is checked.

use super::check::Outcome;
use crate::{
    interleave::{
        play::Played,
        replay,
        schedule::Schedule,
        scheduler::{Scheduler, Subject},
        step::Mark,
    },
    version::{
        Variant::{self, InsertFirst, NoRetry},
        Version::{self, V1, V2, V3},
    },
};

/// The buyers of each schedule.
const BUYERS: usize = 2;

/// What a schedule of two buyers has to reach.
#[derive(Debug)]
pub struct Goal {
    /// The version that it is played on.
    pub version: Version,
    /// Its variant, if it is one.
    pub variant: Option<Variant>,
    /// The units of the sale.
    pub stock: i64,
    /// The most statements in the schedule.
    pub most: usize,
    /// The goal in words.
    pub says: &'static str,
    /// Whether it is reached.
    pub is_reached: fn(&Played) -> bool,
}

/// Chapter 1 holds, and refuses B.
pub(super) const ONE_ORDER: Goal = Goal {
    version: V1,
    variant: None,
    stock: 1,
    most: 6,
    says: "one order, and B is told sold-out",
    is_reached: |played| played.audit.orders == 1 && told(played, "B") == "sold-out",
};

/// Chapter 2's `insert-first` deadlocks.
pub(super) const DEADLOCK: Goal = Goal {
    version: V2,
    variant: Some(InsertFirst),
    stock: 1,
    most: 6,
    says: "a deadlock",
    is_reached: |played| played.count(Mark::Deadlock) > 0,
};

/// Chapter 3's `no-retry` sells both units.
pub(super) const TWO_OF_24: Goal = Goal {
    version: V3,
    variant: Some(NoRetry),
    stock: 2,
    most: 8,
    says: "two orders",
    is_reached: |played| played.audit.orders == 2,
};

fn told<'a>(played: &'a Played, buyer: &str) -> &'a str {
    played.told.get(buyer).map_or("", String::as_str)
}

impl Goal {
    /// What the schedule is played on.
    pub fn subject(&self) -> Subject {
        Subject { version: self.version, variant: self.variant, buyers: BUYERS, stock: self.stock }
    }

    /// Plays the text of a schedule. A text that is none, and a schedule that does not fit the version, have failed.
    pub async fn check(&self, scheduler: &Scheduler, text: &str) -> Outcome {
        match self.play(scheduler, text).await {
            Ok(played) if (self.is_reached)(&played) => Outcome::Passed(format!("{}.", played.outcome())),
            Ok(played) => Outcome::Failed(format!("{}. Wanted: {}.", played.outcome(), self.says)),
            Err(why) => Outcome::Failed(format!("{why:#}")),
        }
    }

    async fn play(&self, scheduler: &Scheduler, text: &str) -> anyhow::Result<Played> {
        let schedule: Schedule = text.parse()?;
        let turns = schedule.turns.len();
        anyhow::ensure!(schedule.buyers() == BUYERS, "the schedule is for two buyers, A and B");
        anyhow::ensure!(turns <= self.most, "the schedule has {turns} statements; at most {} are allowed", self.most);
        let (played, _) = replay::once(scheduler, &schedule).await?;
        Ok(played)
    }
}
