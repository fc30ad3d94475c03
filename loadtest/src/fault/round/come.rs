//! The gate that lets buyers in step by step.

use crate::scenario::plan::Plan;

/// How many buyers of the crowd may have clicked by each step.
pub(super) struct Come {
    /// Before the strike.
    pub(super) first: usize,
    /// Before the fault is in place. Each takes one unit at most, so half of the stock is left.
    pub(super) before: usize,
    /// During the fault.
    pub(super) meanwhile: usize,
}

impl Come {
    pub(super) fn of(plan: &Plan) -> Come {
        let share = |units: i64, buyers: usize| buyers.min(units as usize);
        let (before, meanwhile) = (share(plan.stock / 2, plan.buyers / 4), share(plan.stock / 4 * 3, plan.buyers / 2));
        Come { first: (before * 3 / 4).max(1), before, meanwhile }
    }
}
