//! How far a crowd has come. The buyers count; the progress display and the faults read.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// The counters of a crowd, shared by its buyers and its observers.
pub type Progress = Arc<Counts>;

/// Counters of buyers, and when the first order after a fault was confirmed.
#[derive(Debug, Default)]
pub struct Counts {
    /// Buyers who have an answer to their click.
    pub served: AtomicUsize,
    /// Buyers who bought a unit or are queued for one.
    pub bought: AtomicUsize,
    /// Buyers who wait for the answer to their click at this moment.
    pub asking: AtomicUsize,
    /// Buyers counted in `bought` whose order is decided, or who have given up.
    pub settled: AtomicUsize,
    /// Buyers who were told yes for good: their order is confirmed.
    pub yes: AtomicUsize,
    /// Buyers whose click got no answer, or one that is neither yes nor no.
    pub errors: AtomicUsize,
    fault_in_place: OnceLock<Instant>,
    confirmed: watch::Sender<Option<Instant>>,
}

impl Counts {
    /// Waits until `sold` units are sold or `served` buyers have an answer.
    pub(crate) async fn reach(&self, sold: i64, served: usize) {
        while (self.bought.load(Relaxed) as i64) < sold && self.served.load(Relaxed) < served {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// The most units that can be sold by now: those counted in `bought`, and one for each buyer who still waits for an answer.
    pub(crate) fn sold_at_most(&self) -> usize {
        self.asking.load(Relaxed) + self.bought.load(Relaxed)
    }

    /// Queued orders whose result the buyers do not know yet.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.bought.load(Relaxed).saturating_sub(self.settled.load(Relaxed))
    }

    /// Records that a fault is in place from now on, and returns when that was.
    pub(crate) fn fault_is_in_place(&self) -> Instant {
        *self.fault_in_place.get_or_init(Instant::now)
    }

    /// Whether a fault is in place. Only requests after it can show that the shop has recovered.
    pub fn is_struck(&self) -> bool {
        self.fault_in_place.get().is_some()
    }

    /// Records a confirmed order that was requested while the fault was in place. Only the first one counts.
    pub(crate) fn confirm(&self) {
        self.confirmed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// When the first order was confirmed that was requested while the fault was in place; `None` if none was yet.
    pub(crate) fn first_confirmed(&self) -> Option<Instant> {
        *self.confirmed.borrow()
    }

    /// Waits until the first order after the fault is confirmed.
    pub(crate) async fn until_confirmed(&self) {
        let _ = self.confirmed.subscribe().wait_for(Option::is_some).await;
    }
}
