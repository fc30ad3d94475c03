use std::{
    collections::HashMap,
    future::pending,
    process,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::bail;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

/// What a shop asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Holds the amount on the card.
    Authorise,
    /// Takes what is held.
    Capture,
    /// Lets go what is held.
    Void,
    /// Gives back what was taken.
    Refund,
    /// Says where an authorisation stands.
    Show,
}

/// What the provider does wrong at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// Answers so many milliseconds later.
    Slow(u64),
    /// Answers 503, and does nothing.
    Refuse,
    /// Does nothing and never answers.
    SilentBefore,
    /// Does what it is asked to do, and never answers.
    SilentAfter,
    /// Ends at once, with nothing done.
    DieBefore,
    /// Ends at once, with everything done and nobody told.
    DieAfter,
}

/// When the shop hears of what was not known at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Callbacks {
    /// After a while.
    #[default]
    Once,
    /// After a while, and then again.
    Twice,
    /// After this many milliseconds.
    Late(u64),
    /// It has to ask.
    Never,
}

/// All that the provider does wrong; by default, nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// What goes wrong at which step.
    pub steps: HashMap<Step, Does>,
    /// When callbacks come.
    pub callbacks: Callbacks,
}

/// The switches as they are now, and who waits because of them.
#[derive(Default)]
pub(super) struct Board(Mutex<(Switches, HashMap<Step, usize>)>);

impl Board {
    pub(super) fn set(&self, switches: Switches) {
        *self.locked() = (switches, HashMap::new());
    }

    pub(super) fn callbacks(&self) -> Callbacks {
        self.locked().0.callbacks
    }

    /// Requests that were left without an answer since the switches were set, by step.
    pub(super) fn waiting(&self) -> HashMap<Step, usize> {
        self.locked().1.clone()
    }

    /// Does the work of a step, or what the switches say instead.
    ///
    /// # Errors
    /// The switches have it refused.
    pub(super) async fn pass<T>(&self, step: Step, work: impl Future<Output = T>) -> anyhow::Result<T> {
        let does = self.locked().0.steps.get(&step).copied();
        match does {
            Some(Does::Slow(ms)) => sleep(Duration::from_millis(ms)).await,
            Some(Does::Refuse) => bail!("out of order"),
            Some(Does::SilentBefore) => self.never_answer(step).await,
            Some(Does::DieBefore) => process::abort(),
            Some(Does::SilentAfter | Does::DieAfter) | None => {}
        }
        let done = work.await;
        match does {
            Some(Does::SilentAfter) => self.never_answer(step).await,
            Some(Does::DieAfter) => process::abort(),
            Some(Does::Slow(_) | Does::Refuse | Does::SilentBefore | Does::DieBefore) | None => {}
        }
        Ok(done)
    }

    async fn never_answer(&self, step: Step) {
        *self.locked().1.entry(step).or_default() += 1;
        pending::<()>().await;
    }

    fn locked(&self) -> MutexGuard<'_, (Switches, HashMap<Step, usize>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn switches_are_read_as_they_are_documented() {
        let text = json!({ "steps": { "capture": { "slow": 300 }, "void": "silent-after" }, "callbacks": "twice" });
        let switches: Switches = serde_json::from_value(text).unwrap();
        let steps = HashMap::from([(Step::Capture, Does::Slow(300)), (Step::Void, Does::SilentAfter)]);
        assert_eq!((switches.steps, switches.callbacks), (steps, Callbacks::Twice));
        assert!(serde_json::from_value::<Switches>(json!({ "step": {} })).is_err(), "a slip of the pen");
    }
}
