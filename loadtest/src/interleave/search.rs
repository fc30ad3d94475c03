//! Explores interleavings, depth first: wherever several buyers could go next, each of them goes first once.
//!
//! Each interleaving is played from the start along its choices, because a database cannot go back to an earlier state.
//!
//! [`search`] plays all of them. [`classes`] plays one of each class of equivalent ones. It uses *sleep sets* (Godefroid, 1996), the
//! partial-order reduction of model checkers: when all interleavings have been played that go on with one buyer's step, this
//! step sleeps at the other choices of that point. It sleeps until a step conflicts with it, because until then each order has an
//! equivalent one that was played.

use std::{collections::HashSet, error::Error, fmt, time::Instant};

use anyhow::ensure;

use super::{
    footprint::Footprint,
    play::{Played, Scene},
    queue::in_turn,
    scheduler::Scheduler,
    settle::Place,
    step::letter,
    wire::Hold,
};
use crate::record::interleavings::Explored;

/// A search: the choices of the current interleaving.
struct Search {
    choices: Vec<Choice>,
    /// The number of choices that the current play has made.
    depth: usize,
    /// Whether to use sleep sets.
    sleeps: bool,
}

/// A point at which a buyer has to be chosen.
struct Choice {
    /// The buyers whose statement is held.
    held: Vec<usize>,
    /// Those of them who go next, one after the other.
    open: Vec<usize>,
    /// The index of the buyer who goes next in the current interleaving.
    at: usize,
    /// The sleep set: the steps that need not be next.
    asleep: Vec<Footprint>,
}

/// All steps that could be next are asleep: every interleaving from here is equivalent to one that was played.
#[derive(Debug)]
struct Asleep {
    /// What the steps up to here touched.
    footprints: Vec<Footprint>,
}

impl Error for Asleep {}

impl fmt::Display for Asleep {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("every interleaving from here is equivalent to one that was played")
    }
}

/// Plays all interleavings, at most `most`. Calls `shown` after each.
///
/// # Errors
/// As for [`Scheduler::play`]; or the same choices led to another state than before.
pub async fn search(scheduler: &Scheduler, most: usize, shown: impl FnMut(&Explored)) -> anyhow::Result<Explored> {
    explore(scheduler, most, false, shown).await
}

/// Plays one interleaving of each class, at most `most`. The counts are still those of all interleavings. Calls `shown` after
/// each.
///
/// # Errors
/// As for [`search`].
pub async fn classes(scheduler: &Scheduler, most: usize, shown: impl FnMut(&Explored)) -> anyhow::Result<Explored> {
    explore(scheduler, most, true, shown).await
}

async fn explore(
    scheduler: &Scheduler,
    most: usize,
    sleeps: bool,
    mut shown: impl FnMut(&Explored),
) -> anyhow::Result<Explored> {
    let mut explored = Explored::of(&scheduler.subject);
    let mut search = Search { choices: Vec::new(), depth: 0, sleeps };
    let (mut classes, begun) = (HashSet::new(), Instant::now());
    loop {
        let played = in_turn(async || {
            search.depth = 0;
            scheduler.play(Hold::All, async |scene| search.choose(&scene)).await
        });
        let footprints = match played.await {
            Ok(played) => {
                let footprints = played.footprints.clone();
                explored.add(played, sleeps);
                classes.extend(explored.orders.last().map(|order| order.class.first().join(" · ")));
                explored.classes = Some(classes.len());
                shown(&explored);
                footprints
            }
            Err(error) => error.downcast::<Asleep>()?.footprints,
        };
        search.next(footprints);
        if search.choices.is_empty() {
            break;
        }
        if explored.orders.len() == most {
            // The last choice has already moved on to its next buyer, who has not been played either.
            let left = |choice: &Choice| choice.open.len() - choice.at - 1;
            explored.not_followed = 1 + search.choices.iter().map(left).sum::<usize>();
            break;
        }
    }
    explored.judge(begun.elapsed().as_secs_f64());
    Ok(explored)
}

/// Replays an interleaving from the buyers in its steps.
///
/// # Errors
/// As for [`Scheduler::play`]; or the same choices lead to another state.
pub async fn again(scheduler: &Scheduler, order: &[String]) -> anyhow::Result<Played> {
    let follow = async || {
        let mut next = order.iter();
        let played = scheduler.play(Hold::All, async |scene| {
            let step = next.next().map(String::as_str).unwrap_or_default();
            let held = |(n, place): (usize, &Place)| match place {
                Place::Held(word) if format!("{} {word}", letter(n)) == step => Some(n),
                Place::Held(_) | Place::Waits(..) | Place::Finished(_) => None,
            };
            let found = scene.places.iter().enumerate().find_map(held);
            found.ok_or_else(|| anyhow::anyhow!("the interleaving took another course at `{step}`"))
        });
        played.await
    };
    in_turn(follow).await
}

impl Search {
    /// The buyer who goes next.
    fn choose(&mut self, scene: &Scene) -> anyhow::Result<usize> {
        let held = |(n, place): (usize, &Place)| matches!(place, Place::Held(_)).then_some(n);
        let held: Vec<_> = scene.places.iter().enumerate().filter_map(held).collect();
        if self.depth == self.choices.len() {
            let asleep = self.asleep(scene.footprints);
            let sleeps = |buyer: &usize| asleep.iter().any(|step| step.buyer() == *buyer);
            let open: Vec<_> = held.iter().copied().filter(|buyer| !sleeps(buyer)).collect();
            ensure!(!open.is_empty(), Asleep { footprints: scene.footprints.to_vec() });
            self.choices.push(Choice { held: held.clone(), open, at: 0, asleep });
        }
        let choice = &self.choices[self.depth];
        ensure!(choice.held == held, "the same interleaving has led elsewhere: {:?}", scene.steps);
        self.depth += 1;
        Ok(choice.open[choice.at])
    }

    /// The sleep set of a new point: the steps that slept at the point before, without those that conflict with the step since.
    fn asleep(&self, footprints: &[Footprint]) -> Vec<Footprint> {
        let (Some(before), Some(step)) = (self.choices.last().filter(|_| self.sleeps), footprints.last()) else {
            return Vec::new();
        };
        before.asleep.iter().filter(|asleep| !asleep.conflicts(step)).cloned().collect()
    }

    /// Moves on to the next interleaving. `footprints` are those of the last one. No choice is left when all have been played.
    fn next(&mut self, mut footprints: Vec<Footprint>) {
        footprints.truncate(self.choices.len());
        while let (Some(choice), Some(step)) = (self.choices.last_mut(), footprints.pop()) {
            choice.asleep.push(step);
            choice.at += 1;
            if choice.at < choice.open.len() {
                break;
            }
            self.choices.pop();
        }
    }
}
