//! A session with what it needs from outside: the clocks, the deck's file, and runs.

use std::{
    path::PathBuf,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use loadtest::rehearse::{
    session::{Effect, Now, Session},
    sitting::Key,
    view::View,
};

use super::played::Played;

/// The clock on the wall, and one that is never set.
#[derive(Clone, Copy)]
pub(super) struct Clocks {
    began: Instant,
}

impl Clocks {
    pub(super) fn start() -> Clocks {
        Clocks { began: Instant::now() }
    }

    pub(super) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now { unix, running: self.began.elapsed() }
    }
}

/// Somebody who rehearses.
pub(super) struct Reader {
    session: Session,
    path: PathBuf,
    clocks: Clocks,
    run: Option<Played>,
}

impl Reader {
    pub(super) fn new(session: Session, path: PathBuf, clocks: Clocks) -> Reader {
        Reader { session, path, clocks, run: None }
    }

    /// What is shown now; `None` when all is done. A run that has ended is laid beside its prediction.
    pub(super) fn view(&mut self) -> Option<View> {
        if let Some(came) = self.run.as_mut().and_then(Played::ended) {
            self.run = None;
            self.session.played(came);
        }
        self.session.view(self.clocks.now())
    }

    /// Obeys a key. Returns whether the session is over.
    ///
    /// # Errors
    /// The deck cannot be saved.
    pub(super) fn press(&mut self, key: Key) -> anyhow::Result<bool> {
        match self.session.press(key, self.clocks.now()) {
            Effect::None => {}
            Effect::Play(predict) => match Played::start(predict) {
                Ok(run) => self.run = Some(run),
                Err(why) => self.session.played(Err(format!("{why:#}"))),
            },
            Effect::Save => self.session.deck.save(&self.path).context("what you have just marked is not kept")?,
            Effect::Over => return Ok(true),
        }
        Ok(false)
    }

    /// The session. A run that is under way is ended.
    pub(super) fn end(self) -> Session {
        self.session
    }
}
