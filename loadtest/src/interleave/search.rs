//! Explores all interleavings, depth first: wherever several buyers could go next, each of them goes first once.
//!
//! Each interleaving is played from the start along its choices, because a database cannot go back to an earlier state.

use std::time::Instant;

use anyhow::ensure;

use super::{
    play::{Played, Scene},
    scheduler::Scheduler,
    settle::Place,
    wire::Hold,
};
use crate::record::interleavings::Explored;

/// A point at which a buyer has to be chosen.
struct Choice {
    /// The buyers who could go next.
    open: Vec<usize>,
    /// The index of the buyer who goes next in the current interleaving.
    at: usize,
}

/// Plays all interleavings, at most `most`. Calls `shown` after each.
///
/// # Errors
/// As for [`Scheduler::play`]; or the same choices led to another state than before.
pub async fn search(scheduler: &Scheduler, most: usize, mut shown: impl FnMut(&Explored)) -> anyhow::Result<Explored> {
    let mut explored = Explored::of(&scheduler.subject);
    let (mut choices, begun) = (Vec::new(), Instant::now());
    loop {
        let mut depth = 0;
        let played = scheduler.play(Hold::All, async |scene| choose(&mut choices, &mut depth, &scene)).await?;
        explored.add(played);
        shown(&explored);
        while choices.last_mut().is_some_and(Choice::is_exhausted) {
            choices.pop();
        }
        if choices.is_empty() {
            break;
        }
        if explored.orders_of_events == most {
            // The last choice has already moved on to its next buyer, who has not been played either.
            explored.not_followed = 1 + choices.iter().map(|choice| choice.open.len() - choice.at - 1).sum::<usize>();
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
    let mut next = order.iter();
    let played = scheduler.play(Hold::All, async |scene| {
        let step = next.next().map(String::as_str).unwrap_or_default();
        let held = |(n, place): (usize, &Place)| match place {
            Place::Held(word) if format!("{} {word}", super::step::letter(n)) == step => Some(n),
            Place::Held(_) | Place::Waits(..) | Place::Finished(_) => None,
        };
        let found = scene.places.iter().enumerate().find_map(held);
        found.ok_or_else(|| anyhow::anyhow!("the interleaving took another course at `{step}`"))
    });
    played.await
}

fn choose(choices: &mut Vec<Choice>, depth: &mut usize, scene: &Scene) -> anyhow::Result<usize> {
    let held = |(n, place): (usize, &Place)| matches!(place, Place::Held(_)).then_some(n);
    let open: Vec<_> = scene.places.iter().enumerate().filter_map(held).collect();
    if *depth == choices.len() {
        choices.push(Choice { open: open.clone(), at: 0 });
    }
    let choice = &choices[*depth];
    ensure!(choice.open == open, "the same interleaving has led elsewhere: {:?}", scene.steps);
    *depth += 1;
    Ok(choice.open[choice.at])
}

impl Choice {
    /// Moves on to the next buyer; true if there is none.
    fn is_exhausted(&mut self) -> bool {
        self.at += 1;
        self.at >= self.open.len()
    }
}
