//! One card on the table: the talk, a prediction, and one step after the other to recall.

use std::time::Duration;

use super::{
    card::{Card, Step},
    predict::{Figure, Predict},
};

mod shown;

/// A card that is being rehearsed.
#[derive(Debug)]
pub struct Sitting {
    /// The card.
    pub card: &'static Card,
    /// What kind of sitting this is.
    pub kind: Kind,
    tasks: Vec<Task>,
    at: usize,
    state: State,
    /// When the prompt was shown; `None` until then.
    began: Option<Duration>,
    /// How long the reader has talked; `None` until the talk is over.
    pub talked: Option<Duration>,
    /// What was recalled, in order.
    pub marks: Vec<Mark>,
    /// The steps of the card that the reader had before this sitting.
    pub before: Vec<String>,
}

/// The kind of a sitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole card.
    Whole,
    /// The rest of a card that was left before its end.
    Rest,
    /// What was missed before in this session.
    Again,
    /// An interview: the whole card, and follow-ups of others while the clock runs.
    Interview,
}

/// Something that the reader does.
#[derive(Debug)]
enum Task {
    Talk,
    Predict(&'static Predict),
    Recall(Recall),
}

/// A step to recall. Follow-ups of an interview come from other cards.
#[derive(Debug, Clone, Copy)]
pub struct Recall {
    /// The card that has the step.
    pub card: &'static Card,
    /// The step.
    pub step: &'static Step,
}

/// What the reader said about a step.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    /// The step.
    pub of: Recall,
    /// Whether they had it.
    pub had: bool,
}

/// Where the reader is in a task.
#[derive(Debug)]
enum State {
    /// The prompt or the cue is shown.
    Asked,
    /// The prediction is being typed.
    Typing { typed: String, refused: Option<&'static str> },
    /// The run is being played.
    Playing { said: String },
    /// The prediction beside what came out, or why nothing did.
    Beside { said: String, came: Result<Figure, String> },
    /// The answer is shown. Whether the last key was neither yes nor no.
    Revealed { unclear: bool },
    /// All tasks are done.
    Done,
}

/// A key, as far as a session cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Go on.
    Enter,
    /// A character.
    Char(char),
    /// Take the last character away.
    Backspace,
}

/// What a key has done.
#[derive(Debug, Clone, Copy)]
pub enum Moved {
    /// Nothing that the session has to know.
    On,
    /// A prediction was made: its run is to be played.
    Predicted(&'static Predict),
    /// A step was marked. Whether it was the last one.
    Marked {
        /// Nothing is left to do with this card.
        is_last: bool,
    },
    /// The reader has left the card.
    Left,
}

impl Sitting {
    /// A card without the steps that the reader had before. Without any, it is whole: it begins with the talk.
    pub fn of(card: &'static Card, before: Vec<String>) -> Sitting {
        let steps = card.outline.iter().chain(&card.follow_ups);
        let rest = steps.filter(|step| !before.contains(&step.cue)).map(|step| Task::Recall(Recall { card, step }));
        if before.is_empty() {
            let predict = card.predict.as_ref().map(Task::Predict);
            Sitting::new(card, Kind::Whole, [Task::Talk].into_iter().chain(predict).chain(rest).collect())
        } else {
            let rest = rest.collect();
            Sitting { before, ..Sitting::new(card, Kind::Rest, rest) }
        }
    }

    /// The interview: the master card with follow-ups of other cards.
    pub fn interview(card: &'static Card, drawn: Vec<Recall>) -> Sitting {
        let steps = card.outline.iter().map(|step| Recall { card, step });
        let recalls = drawn.into_iter().chain(steps).map(Task::Recall);
        Sitting::new(card, Kind::Interview, [Task::Talk].into_iter().chain(recalls).collect())
    }

    /// What was missed in a sitting; `None` if nothing was.
    pub fn again(&self) -> Option<Sitting> {
        let missed: Vec<_> = self.marks.iter().filter(|mark| !mark.had).map(|mark| Task::Recall(mark.of)).collect();
        let before = self.had();
        (!missed.is_empty()).then(|| Sitting { before, ..Sitting::new(self.card, Kind::Again, missed) })
    }

    /// The steps of the card that the reader had, in this sitting and before.
    pub fn had(&self) -> Vec<String> {
        self.before.iter().cloned().chain(self.marked(self.card, true)).collect()
    }

    /// The steps of a card that were marked like this.
    pub fn marked(&self, card: &Card, had: bool) -> Vec<String> {
        let marks = self.marks.iter().filter(|mark| mark.had == had && mark.of.card.number == card.number);
        marks.map(|mark| mark.of.step.cue.clone()).collect()
    }

    fn new(card: &'static Card, kind: Kind, tasks: Vec<Task>) -> Sitting {
        let (marks, before) = (Vec::new(), Vec::new());
        Sitting { card, kind, tasks, at: 0, state: State::Asked, began: None, talked: None, marks, before }
    }

    /// Shows the prompt: the clock runs from here.
    pub fn begin(&mut self, now: Duration) {
        self.began.get_or_insert(now);
    }

    /// Obeys a key. A key that means nothing here does nothing.
    pub fn press(&mut self, key: Key, now: Duration) -> Moved {
        let goes_on = matches!(key, Key::Enter | Key::Char(' '));
        match (&mut self.state, self.tasks.get(self.at)) {
            (State::Asked, Some(Task::Recall(_))) if goes_on => self.state = State::Revealed { unclear: false },
            (State::Revealed { unclear }, Some(Task::Recall(of))) => {
                let had = match key {
                    Key::Char('y' | 'Y') => true,
                    Key::Char('n' | 'N') => false,
                    Key::Enter | Key::Char(_) | Key::Backspace => {
                        *unclear = true;
                        return Moved::On;
                    }
                };
                self.marks.push(Mark { of: *of, had });
                self.go_on(now);
                return Moved::Marked { is_last: self.is_done() };
            }
            (State::Typing { typed, refused }, Some(Task::Predict(predict))) => match key {
                Key::Char(c) => {
                    typed.push(c);
                    *refused = None;
                }
                Key::Backspace => {
                    typed.pop();
                    *refused = None;
                }
                Key::Enter if typed.trim().is_empty() => self.go_on(now),
                Key::Enter => {
                    *refused = predict.refuses(typed);
                    if refused.is_none() {
                        self.state = State::Playing { said: typed.trim().to_owned() };
                        return Moved::Predicted(predict);
                    }
                }
            },
            (State::Asked | State::Beside { .. }, Some(Task::Talk | Task::Predict(_))) if goes_on => self.go_on(now),
            (State::Done, _) if goes_on => return Moved::Left,
            (
                State::Asked
                | State::Typing { .. }
                | State::Playing { .. }
                | State::Beside { .. }
                | State::Revealed { .. }
                | State::Done,
                _,
            ) => {}
        }
        Moved::On
    }

    /// Takes what the run has shown, or why it could not be played.
    pub fn played(&mut self, came: Result<Figure, String>) {
        if let State::Playing { said } = &mut self.state {
            self.state = State::Beside { said: std::mem::take(said), came };
        }
    }

    /// Whether all tasks are done.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Moves to the next task. The talk ends with the first one of which the clock does not run.
    fn go_on(&mut self, now: Duration) {
        self.at += 1;
        self.state = match self.tasks.get(self.at) {
            Some(Task::Predict(_)) => State::Typing { typed: String::new(), refused: None },
            Some(Task::Talk | Task::Recall(_)) => State::Asked,
            None => State::Done,
        };
        if !self.is_talk() && self.talked.is_none() && matches!(self.kind, Kind::Whole | Kind::Interview) {
            self.talked = Some(now.saturating_sub(self.began.unwrap_or(now)));
        }
    }

    /// Whether the clock runs: in the talk, and while follow-ups of other cards are asked.
    fn is_talk(&self) -> bool {
        match self.tasks.get(self.at) {
            Some(Task::Talk) => true,
            Some(Task::Recall(of)) => self.kind == Kind::Interview && of.card.number != self.card.number,
            Some(Task::Predict(_)) | None => false,
        }
    }
}
