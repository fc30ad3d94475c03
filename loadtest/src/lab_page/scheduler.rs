//! The second tab: a reader decides whose statement the real database executes next.
//!
//! A browser names the position that it wants to see. [`Scheduling::work`] plays the buyers there, statement by statement. A database
//! cannot go back to an earlier state, so an undo is a new play from the start to one move less.

use std::{collections::HashMap, fmt};

use anyhow::bail;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    Page, Shown,
    labs::while_it_answers,
    position::Wanted,
    scene::{self, Seen},
    tree::{Known, Tree, Trees, key},
};
use crate::interleave::{
    play::Scene,
    queue::OutOfTurn,
    scheduler::{Scheduler, Subject},
    settle::Place,
    step::letter,
    wire::Hold,
};

/// What the second tab shows and wants.
pub(super) struct Scheduling {
    pub(super) shown: Shown,
    wanted: watch::Sender<Option<Wanted>>,
    trees: Trees,
}

impl Default for Scheduling {
    fn default() -> Scheduling {
        let shown = watch::Sender::new(json!({ "phase": "idle" }));
        Scheduling { shown, wanted: watch::Sender::default(), trees: watch::Sender::new(HashMap::new()) }
    }
}

impl Scheduling {
    /// Wants a position. The newest wish counts.
    ///
    /// # Errors
    /// It cannot be played.
    pub(super) fn want(&self, wanted: Wanted) -> anyhow::Result<()> {
        wanted.check()?;
        self.wanted.send_replace(Some(wanted));
        Ok(())
    }

    fn wanted_subject(&self) -> Option<Subject> {
        self.wanted.borrow().as_ref().map(Wanted::subject)
    }

    /// Plays what browsers want to see.
    pub(super) async fn work(&self, page: &Page) {
        let mut wanted = self.wanted.subscribe();
        loop {
            wanted.mark_unchanged();
            if let Some(subject) = self.wanted_subject() {
                match self.attend(page, &subject).await {
                    Ok(()) => continue, // another subject is wanted
                    Err(why) => {
                        wanted.mark_unchanged(); // a reader decides when to begin again
                        let why = format!("{why:#}");
                        self.shown.send_replace(
                            json!({ "phase": "failed", "why": why, "subject": scene::subject(&subject) }),
                        );
                    }
                }
            }
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Plays one subject until another one is wanted.
    async fn attend(&self, page: &Page, subject: &Subject) -> anyhow::Result<()> {
        self.shown.send_replace(json!({ "phase": "starting", "subject": scene::subject(subject) }));
        self.trees.send_modify(|trees| trees.retain(|_, known| !matches!(known, Known::Not(_))));
        let lab = page.labs.open().await?;
        while_it_answers(&lab, async {
            let scheduler = Scheduler::build(&lab, subject).await?;
            while self.wanted_subject().as_ref() == Some(subject) {
                self.play(&scheduler).await?;
            }
            scheduler.close(&lab).await
        })
        .await
    }

    /// Plays once: until all buyers have their answers and the reader goes back, or until the reader goes back before.
    async fn play(&self, scheduler: &Scheduler) -> anyhow::Result<()> {
        let (wanted, trees) = (self.wanted.subscribe(), self.trees.subscribe());
        let seen = Seen::default();
        let mut turns = Turns { tab: self, scheduler, wanted, trees, seen };
        let played = match scheduler.play(Hold::All, async |scene| turns.next(&scene).await).await {
            Err(why) if why.is::<GoneBack>() || why.is::<OutOfTurn>() => return Ok(()), // it is played again
            played => played?,
        };
        loop {
            let Some(wanted) = turns.still_wanted() else { return Ok(()) };
            turns.cut(&wanted); // a link may have more moves than there are statements
            turns.show(scene::finished(&scheduler.subject, &turns.seen, &played));
            turns.change().await;
        }
    }

    /// Counts the interleavings of what browsers look at, with instances of its own.
    pub(super) async fn count(&self, page: &Page) {
        let mut wanted = self.wanted.subscribe();
        loop {
            wanted.mark_unchanged();
            let subject = self.wanted_subject().filter(|subject| !self.trees.borrow().contains_key(&key(subject)));
            if let Some(subject) = subject {
                let set = |known| self.trees.send_modify(|trees| drop(trees.insert(key(&subject), known)));
                set(Known::Counting(0));
                let explored = async {
                    let lab = page.labs.open().await?;
                    while_it_answers(&lab, Tree::explore(&lab, &subject, |n| set(Known::Counting(n)))).await
                };
                tokio::select! {
                    explored = Box::pin(explored) => set(match explored {
                        Ok(tree) => Known::All(tree.into()),
                        Err(why) => Known::Not(format!("{why:#}")),
                    }),
                    () = self.until_other_than(&subject) => {
                        self.trees.send_modify(|trees| drop(trees.remove(&key(&subject))));
                        continue;
                    }
                }
            }
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    async fn until_other_than(&self, subject: &Subject) {
        let is_other = |wanted: &Option<Wanted>| wanted.as_ref().is_some_and(|wanted| wanted.subject() != *subject);
        let _ = self.wanted.subscribe().wait_for(is_other).await;
    }
}

/// One play, and what the reader wants of it.
struct Turns<'a> {
    tab: &'a Scheduling,
    scheduler: &'a Scheduler,
    wanted: watch::Receiver<Option<Wanted>>,
    trees: watch::Receiver<HashMap<String, Known>>,
    seen: Seen,
}

impl Turns<'_> {
    /// The buyer whose statement is executed next. Waits until the reader has decided.
    async fn next(&mut self, scene: &Scene<'_>) -> anyhow::Result<usize> {
        loop {
            let Some(wanted) = self.still_wanted() else { bail!(GoneBack) };
            if let Some(buyer) = wanted.next(&self.seen.moves) {
                if let Place::Held(word) = &scene.places[buyer] {
                    self.seen.add(buyer, word);
                    return Ok(buyer);
                }
                self.seen.note = Some(cannot_move(buyer, &scene.places[buyer]));
                self.cut(&wanted);
                continue;
            }
            self.show(scene::open(self.scheduler, &self.seen, scene).await?);
            self.change().await;
        }
    }

    /// The position that is wanted, if it is this one or further on the same way.
    fn still_wanted(&mut self) -> Option<Wanted> {
        let wanted = self.wanted.borrow_and_update().clone();
        wanted.filter(|wanted| wanted.is_after(&self.scheduler.subject, &self.seen.moves))
    }

    /// Forgets the moves of a wish that cannot be played, unless there is a newer wish.
    fn cut(&self, seen: &Wanted) {
        self.tab.wanted.send_if_modified(|wanted| match wanted {
            Some(wanted) if wanted == seen && wanted.moves != self.seen.moves => {
                wanted.moves.clone_from(&self.seen.moves);
                true
            }
            Some(_) | None => false,
        });
    }

    /// Shows the position, with what is known of the tree from here on.
    fn show(&mut self, mut state: Value) {
        state["tree"] = match self.trees.borrow_and_update().get(&key(&self.scheduler.subject)) {
            Some(Known::All(tree)) => tree.shown(&self.seen.steps),
            Some(Known::Counting(n)) => json!({ "counting": n }),
            Some(Known::Not(why)) => json!({ "unknown": why }),
            None => json!({ "counting": 0 }),
        };
        self.tab.shown.send_replace(state);
    }

    /// Waits until another position is wanted, or more is known of the tree.
    async fn change(&mut self) {
        tokio::select! {
            _ = self.wanted.changed() => {}
            _ = self.trees.changed() => {}
        }
    }
}

fn cannot_move(buyer: usize, place: &Place) -> String {
    let buyer = letter(buyer);
    match place {
        Place::Held(word) => format!("{buyer} is at {word}."),
        Place::Waits(word, by) => {
            let by: Vec<_> = by.iter().copied().map(letter).collect();
            format!(
                "{buyer}'s {word} waits for {}: it continues by itself when the lock is released.",
                by.join(" and ")
            )
        }
        Place::Finished(answer) => format!("{buyer} has its answer: {}.", answer.kind()),
    }
}

/// A play is given up, because a position is wanted to which it does not lead.
#[derive(Debug)]
struct GoneBack;

impl fmt::Display for GoneBack {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("another position is wanted")
    }
}

impl std::error::Error for GoneBack {}
