//! What the reader sees at one moment: data only, drawn by `render::rehearse`.

use std::time::Duration;

use super::markdown::Block;

/// One picture of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The card: `3: compare-and-swap`.
    pub heading: String,
    /// The position: `card 1 of 4 · step 2 of 9`.
    pub progress: String,
    /// How long the reader has talked; `None` when the talk is over.
    pub clock: Option<Clock>,
    /// What is asked.
    pub cue: Vec<Block>,
    /// What was revealed. Empty until then.
    pub answer: Vec<Block>,
    /// What the reader can do now.
    pub ask: Ask,
}

/// The clock of a talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The time since the prompt.
    pub spent: Duration,
    /// The time that there is.
    pub limit: Duration,
}

impl Clock {
    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.spent >= self.limit
    }
}

/// What the reader can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Go on. The text says what follows.
    GoOn(&'static str),
    /// Type a prediction, or nothing to skip it.
    Predict {
        /// What was typed so far.
        typed: String,
        /// Why it was refused; `None` if it was not.
        refused: Option<&'static str>,
    },
    /// Say whether they had it.
    Mark {
        /// Whether the last key was neither yes nor no.
        unclear: bool,
    },
    /// Nothing: a run is being played.
    Wait,
}
