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

/// A step of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Holds the amount on the card.
    Authorise,
    /// Charges the held amount.
    Capture,
    /// Releases the held amount.
    Void,
    /// Refunds the charge.
    Refund,
    /// Reports the state of an authorisation.
    Show,
}

/// A failure of the provider at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// Answers after this many milliseconds.
    Slow(u64),
    /// Answers 503 and does nothing.
    Refuse,
    /// Does nothing and never answers.
    SilentBefore,
    /// Carries out the request and never answers.
    SilentAfter,
    /// Its process ends at once, with nothing done.
    DieBefore,
    /// Its process ends at once, with the request carried out but not answered.
    DieAfter,
}

/// When the shop is notified of a delayed result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Callbacks {
    /// After a short delay.
    #[default]
    Once,
    /// After a short delay, and then once more.
    Twice,
    /// After this many milliseconds.
    Late(u64),
    /// Never: the shop has to ask.
    Never,
}

/// All failures of the provider; none by default.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// The failure at each step.
    pub steps: HashMap<Step, Does>,
    /// When callbacks are sent.
    pub callbacks: Callbacks,
}

/// The current switches, and the requests that they leave waiting.
#[derive(Default)]
pub(super) struct Board(Mutex<(Switches, HashMap<Step, usize>)>);

impl Board {
    pub(super) fn set(&self, switches: Switches) {
        *self.locked() = (switches, HashMap::new());
    }

    pub(super) fn callbacks(&self) -> Callbacks {
        self.locked().0.callbacks
    }

    /// The number of requests without an answer since the switches were set, by step.
    pub(super) fn waiting(&self) -> HashMap<Step, usize> {
        self.locked().1.clone()
    }

    /// Carries out a step's work, or fails as the switches say.
    ///
    /// # Errors
    /// The switches refuse the step.
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
        assert!(serde_json::from_value::<Switches>(json!({ "step": {} })).is_err(), "a misspelled field");
    }
}
