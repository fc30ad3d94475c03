//! A session: cards one after the other, and again what was missed. A pure state machine: keys and the time are passed in, and what is
//! to be done outside comes back as an [`Effect`].

use std::{collections::VecDeque, time::Duration};

use super::{
    card::Card,
    deck::Deck,
    predict::{Figure, Predict},
    sitting::{Key, Kind, Moved, Recall, Sitting},
    view::View,
};

/// A moment, as the caller's two clocks show it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Seconds since 1970, which decide what is due. This clock can be set.
    pub unix: u64,
    /// The time since the program began, for the clock of a talk.
    pub running: Duration,
}

/// What the caller has to do.
#[derive(Debug)]
pub enum Effect {
    /// Show the view.
    None,
    /// Play this run, and call [`Session::played`].
    Play(&'static Predict),
    /// Save the deck.
    Save,
    /// End: the reader wants to, or all is done.
    Over,
}

/// Cards that wait, and cards that are done.
#[derive(Debug)]
pub struct Session {
    /// When each card is due.
    pub deck: Deck,
    queue: VecDeque<Sitting>,
    done: Vec<Sitting>,
}

impl Session {
    /// A session with these cards: each as a whole, or without what the reader had when they left it before its end.
    pub fn of(deck: Deck, cards: &[&'static Card], now: Now) -> Session {
        let queue = cards.iter().map(|card| Sitting::of(card, deck.left(card, now.unix))).collect();
        Session::new(deck, queue, now)
    }

    /// An interview: the master card, and follow-ups that were drawn from the other cards.
    pub fn interview(deck: Deck, master: &'static Card, drawn: Vec<Recall>, now: Now) -> Session {
        Session::new(deck, [Sitting::interview(master, drawn)].into(), now)
    }

    fn new(deck: Deck, mut queue: VecDeque<Sitting>, now: Now) -> Session {
        if let Some(first) = queue.front_mut() {
            first.begin(now.running);
        }
        Session { deck, queue, done: Vec::new() }
    }

    /// Obeys a key. `q` ends the session.
    pub fn press(&mut self, key: Key, now: Now) -> Effect {
        let Some(sitting) = self.queue.front_mut().filter(|_| key != Key::Char('q')) else { return Effect::Over };
        match sitting.press(key, now.running) {
            Moved::On => Effect::None,
            Moved::Predicted(predict) => Effect::Play(predict),
            Moved::Marked { is_last } => self.remember(is_last, now.unix),
            Moved::Left => self.leave(now),
        }
    }

    /// Takes what a run has shown, or why it could not be played.
    pub fn played(&mut self, came: Result<Figure, String>) {
        if let Some(sitting) = self.queue.front_mut() {
            sitting.played(came);
        }
    }

    /// What the reader sees; `None` when all is done.
    pub fn view(&self, now: Now) -> Option<View> {
        let sitting = self.queue.front()?;
        let (at, all) = (self.done.len() + 1, self.done.len() + self.queue.len());
        Some(sitting.view(&format!("card {at} of {all}"), &self.when_again(sitting, now.unix), now.running))
    }

    /// The interview; `None` in a session with cards.
    pub fn of_interview(&self) -> Option<&Sitting> {
        self.done.iter().chain(&self.queue).find(|sitting| sitting.kind == Kind::Interview)
    }

    /// The cards that are done, and how many of them had something missed.
    pub fn counts(&self) -> (usize, usize) {
        let done = self.done.iter().chain(self.queue.front().filter(|sitting| sitting.is_done()));
        let whole = done.filter(|sitting| sitting.kind != Kind::Again);
        let missed = whole.clone().filter(|sitting| sitting.marks.iter().any(|mark| !mark.had));
        (whole.count(), missed.count())
    }

    /// Puts a mark into the deck, which is saved at once, so that no way to end loses it.
    fn remember(&mut self, is_last: bool, now: u64) -> Effect {
        let Some((sitting, mark)) = self.queue.front().and_then(|sitting| Some((sitting, sitting.marks.last()?)))
        else {
            return Effect::None;
        };
        let (card, missed) = (mark.of.card, sitting.marked(mark.of.card, false));
        match (mark.had, sitting.kind) {
            (true, _) if is_last && sitting.marked(sitting.card, false).is_empty() => {
                self.deck.had(sitting.card.number, now);
            }
            (true, Kind::Interview) => return Effect::None, // an interview is not continued
            (false, Kind::Interview) => self.deck.missed(card.number, missed, now),
            (_, Kind::Whole | Kind::Rest | Kind::Again) => self.deck.marked(card.number, sitting.had(), missed, now),
        }
        Effect::Save
    }

    /// Leaves the card that is done. What was missed comes again at the end, but not in an interview.
    fn leave(&mut self, now: Now) -> Effect {
        if let Some(sitting) = self.queue.pop_front() {
            self.queue.extend(sitting.again().filter(|_| sitting.kind != Kind::Interview));
            self.done.push(sitting);
        }
        let Some(next) = self.queue.front_mut() else { return Effect::Over };
        next.begin(now.running);
        Effect::None
    }

    fn when_again(&self, sitting: &Sitting, now: u64) -> String {
        match (self.deck.is_due(sitting.card.number, now), sitting.kind) {
            (true, Kind::Interview) => "This card is due again.".into(),
            (true, Kind::Whole | Kind::Rest | Kind::Again) => "What you missed comes again in this session.".into(),
            (false, _) => format!("This card comes again {}.", in_days(self.deck.days_until(sitting.card.number, now))),
        }
    }
}

/// `now`, `in a day`, `in 3 days`.
pub fn in_days(days: u64) -> String {
    match days {
        0 => "now".into(),
        1 => "in a day".into(),
        _ => format!("in {days} days"),
    }
}

#[cfg(test)]
mod tests;
