//! The ways that keep the decision in the process.

mod counter;
mod counter_divided;

use super::way::Entry;
use counter::Counter;
use counter_divided::CounterDivided;

/// The ways that keep the decision in the process.
pub const WAYS: &[Entry] = &[
    Entry::new::<CounterDivided>(
        "process-counter-divided",
        &[],
        "the load is spread evenly and a refusal beside a unit that is left does not hurt",
    ),
    Entry::new::<Counter>("process-counter", &[], "there is one process, and its end may lose the count"),
];
