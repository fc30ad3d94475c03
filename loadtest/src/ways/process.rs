//! The ways that keep the decision, or the lock, in the process.

mod counter;
mod counter_divided;
mod mutex;

use super::way::Entry;
use crate::lab::servers::Server::Postgres;
use counter::Counter;
use counter_divided::CounterDivided;
use mutex::MutexInProcess;

/// The ways that keep the decision, or the lock, in the process.
pub const WAYS: &[Entry] = &[
    Entry::new::<CounterDivided>(
        "process-counter-divided",
        &[],
        "the load is spread evenly, and a buyer may be refused while another process has a unit",
    ),
    Entry::new::<Counter>("process-counter", &[], "there is one process, and the count may end with it"),
    Entry::new::<MutexInProcess>("process-mutex", &[Postgres], "never: the second process oversells"),
];
