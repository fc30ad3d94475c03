//! The gate that lets buyers in step by step.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{sync::watch, time::interval};

use crate::scenario::plan::Plan;

/// How many buyers of the crowd may have clicked by each step.
pub(super) struct Come {
    /// Before the strike.
    pub(super) first: usize,
    /// Before the fault is in place. Each takes one unit at most, so half of the stock is left.
    pub(super) before: usize,
    /// During the fault.
    pub(super) meanwhile: usize,
    /// The time between two buyers during the fault, and until all is back. `None` if those of this step come at once.
    pub(super) pace: Option<Duration>,
}

impl Come {
    pub(super) fn of(plan: &Plan, pace: Option<Duration>) -> Come {
        let share = |units: i64, buyers: usize| buyers.min(units as usize);
        let (before, meanwhile) = (share(plan.stock / 2, plan.buyers / 4), share(plan.stock / 4 * 3, plan.buyers / 2));
        Come { first: (before * 3 / 4).max(1), before, meanwhile, pace }
    }

    /// Lets in those who come during the fault.
    pub(super) async fn meanwhile(&self, let_in: &watch::Sender<usize>) -> Infallible {
        let Some(pace) = self.pace else {
            let_in.send_replace(self.meanwhile);
            return pending().await;
        };
        let mut paces = interval(pace);
        loop {
            paces.tick().await;
            let_in.send_modify(|come| *come += 1);
        }
    }
}
