//! Replays a schedule on a version, possibly another one than it was written for. Turns that cannot be played are noted with a
//! reason.

use std::time::Instant;

use anyhow::{bail, ensure};

use super::{
    explain::explain,
    play::{Played, Scene},
    queue::in_turn,
    schedule::{Schedule, Turn},
    scheduler::Scheduler,
    settle::Place,
    step::{Event, Mark, Step, letter},
};
use crate::{record::interleavings::Replayed, verdict::history::Answer};

/// Replays a schedule `times` times.
///
/// # Errors
/// As for [`Scheduler::play`]; or the schedule does not fit this version, and no conflict or lock explains the difference.
pub async fn replay(
    scheduler: &Scheduler,
    schedule: &Schedule,
    times: usize,
    mut shown: impl FnMut(usize),
) -> anyhow::Result<Replayed> {
    let begun = Instant::now();
    let (first, notes) = once(scheduler, schedule).await?;
    let mut same = 1;
    for n in 1..times {
        shown(n);
        let (next, _) = once(scheduler, schedule).await?;
        same += usize::from(next == first);
    }
    Ok(Replayed {
        version: scheduler.subject.version,
        variant: scheduler.subject.variant,
        buyers: scheduler.subject.buyers,
        stock: scheduler.subject.stock,
        schedule: schedule.to_string(),
        times,
        same,
        seconds: begun.elapsed().as_secs_f64(),
        notes: explain(&first.steps).into_iter().chain(notes).collect(),
        played: first,
    })
}

/// Replays a schedule once. Also returns notes about the turns that could not be played.
///
/// # Errors
/// As for [`replay`].
pub async fn once(scheduler: &Scheduler, schedule: &Schedule) -> anyhow::Result<(Played, Vec<String>)> {
    let begin = || Follow { turns: schedule.turns.iter().enumerate(), notes: Vec::new(), ended: false };
    let mut follow = begin();
    let played = in_turn(async || {
        follow = begin();
        scheduler.play(schedule.hold(), async |scene| follow.next(&scene)).await
    })
    .await?;
    let Follow { turns, mut notes, .. } = follow;
    for (n, turn) in turns {
        let told = played.told.get(&letter(turn.buyer)).cloned().unwrap_or_default();
        ensure!(told != "bought", "turn {} of the schedule is `{turn}`, but all is over: it never ends", n + 1);
        notes.push(format!("`{turn}` cannot be: {} has been told {told}.", letter(turn.buyer)));
    }
    Ok((played, notes))
}

/// A schedule that is being replayed.
struct Follow<T> {
    turns: T,
    notes: Vec<String>,
    ended: bool,
}

impl<'a, T: Iterator<Item = (usize, &'a Turn)>> Follow<T> {
    /// The buyer whose statement is released next.
    fn next(&mut self, scene: &Scene) -> anyhow::Result<usize> {
        for (n, turn) in self.turns.by_ref() {
            let name = letter(turn.buyer);
            let turned = turned(scene.steps, &name);
            match &scene.places[turn.buyer] {
                Place::Held(word) if *word == turn.word => return Ok(turn.buyer),
                Place::Held(word) if turned => {
                    self.notes.push(format!("`{turn}` cannot be: {name} is at {word} now."));
                }
                Place::Held(word) => {
                    bail!("turn {} of the schedule is `{turn}`, but {name} is at {word}", n + 1)
                }
                Place::Waits(word, by) => {
                    let by: Vec<_> = by.iter().copied().map(letter).collect();
                    let by = by.join(" and ");
                    self.notes.push(format!("`{turn}` cannot be: {name} still waits at {word} for {by}."));
                }
                Place::Finished(Answer::Bought { .. }) if !turned => {
                    bail!("turn {} of the schedule is `{turn}`, but {name} has bought: it never ends", n + 1)
                }
                Place::Finished(answer) => {
                    self.notes.push(format!("`{turn}` cannot be: {name} has been told {}.", answer.kind()));
                }
            }
        }
        self.left_over(scene)
    }

    /// Continues after the end of the schedule if buyers are left. That is an error unless a buyer was affected by another one in
    /// a way that the schedule could not know.
    fn left_over(&mut self, scene: &Scene) -> anyhow::Result<usize> {
        let held = |(n, place): (usize, &Place)| match place {
            Place::Held(word) => Some((n, format!("{} at {word}", letter(n)))),
            Place::Waits(..) | Place::Finished(_) => None,
        };
        let held: Vec<_> = scene.places.iter().enumerate().filter_map(held).collect();
        let names = held.iter().map(|(_, at)| at.as_str()).collect::<Vec<_>>().join(", ");
        let explained = (0..scene.places.len()).any(|n| turned(scene.steps, &letter(n)));
        ensure!(explained, "the schedule ends too early: it leaves {names}");
        if !std::mem::replace(&mut self.ended, true) {
            self.notes.push(format!("Here the schedule ends; what is left goes on by itself ({names})."));
        }
        held.first().map(|(n, _)| *n).ok_or_else(|| anyhow::anyhow!("nobody is held"))
    }
}

/// Whether a buyer was affected by another one: a wait, a conflict or an error.
fn turned(steps: &[Step], buyer: &str) -> bool {
    let met = |step: &&Step| {
        step.event == Event::Waits || step.error.is_some() || step.mark == Some(Mark::Conflict) || was_refused(step)
    };
    steps.iter().filter(|step| step.buyer == buyer).any(|step| met(&step))
}

fn was_refused(step: &Step) -> bool {
    step.told.as_deref().is_some_and(|told| told != "bought")
}
