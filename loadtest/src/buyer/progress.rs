//! How far a crowd is: counted by the buyers, read by whoever shows it or strikes.

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

/// The counts of a crowd, shared by its buyers and whoever watches them.
pub type Progress = Arc<Counts>;

/// Buyers so far, and the first order that was confirmed after a fault.
#[derive(Debug, Default)]
pub struct Counts {
    /// Buyers whose click has an answer.
    pub served: AtomicUsize,
    /// Buyers who were told yes, or are in the queue for it.
    pub bought: AtomicUsize,
    /// Buyers who wait for the answer to their click at this moment.
    pub asking: AtomicUsize,
    /// Buyers of `bought` who know what became of their order, or have given up.
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

    /// Units that can be sold by now: those of buyers who were told yes, and of all who still wait for an answer.
    pub(crate) fn sold_at_most(&self) -> usize {
        self.asking.load(Relaxed) + self.bought.load(Relaxed)
    }

    /// Orders in the queue whose buyers do not know yet what became of them.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.bought.load(Relaxed).saturating_sub(self.settled.load(Relaxed))
    }

    /// Notes that a fault is in place from now on.
    pub(crate) fn fault_is_in_place(&self) -> Instant {
        *self.fault_in_place.get_or_init(Instant::now)
    }

    /// Whether a fault was put in place. Who asks from then on can show that the shop has recovered.
    pub fn is_struck(&self) -> bool {
        self.fault_in_place.get().is_some()
    }

    /// Notes that an order is confirmed whose buyer asked when the fault was in place. The first one counts.
    pub(crate) fn confirm(&self) {
        self.confirmed.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert_with(Instant::now);
            is_first
        });
    }

    /// When the first order was confirmed whose buyer asked when the fault was in place; `None` if none is yet.
    pub(crate) fn first_confirmed(&self) -> Option<Instant> {
        *self.confirmed.borrow()
    }

    /// Waits for the first order that is confirmed after the fault.
    pub(crate) async fn until_confirmed(&self) {
        let _ = self.confirmed.subscribe().wait_for(Option::is_some).await;
    }
}
