//! How far a crowd has come. The buyers count; the progress display and the faults read.

use std::{
    future::pending,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use sqlx::AnyPool;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{ending::Ending, tally::Tally};
use crate::verdict::history::Answer;

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
    /// What buyers were told, and how long they waited for it.
    pub tally: Tally,
    /// Ends the run early.
    pub ending: Ending,
    rows: OnceLock<AnyPool>,
    began: OnceLock<Instant>,
    fault_in_place: OnceLock<Instant>,
    confirmed: watch::Sender<Option<Instant>>,
}

impl Counts {
    /// The counters of a run that this request ends.
    pub fn ended_by(ending: &Ending) -> Progress {
        Arc::new(Counts { ending: ending.clone(), ..Counts::default() })
    }

    /// Records where the run's rows are, for observers that read them while the run plays.
    pub(crate) fn shows(&self, rows: &AnyPool) {
        let _ = self.rows.set(rows.clone());
    }

    /// The run's database; `None` until the shops have started.
    pub fn rows(&self) -> Option<&AnyPool> {
        self.rows.get()
    }

    /// Records that the buyers come from now on. A run that is ended later still has a result.
    pub(crate) fn begin(&self) {
        self.began.get_or_init(Instant::now);
    }

    /// When the first buyer could come; `None` while the run is prepared.
    pub fn began_at(&self) -> Option<Instant> {
        self.began.get().copied()
    }

    /// How long buyers came until the user ended the run; `None` if that was not requested.
    pub(crate) fn ended_after(&self) -> Option<Duration> {
        Some(self.ending.requested_at()?.duration_since(self.began_at()?))
    }

    /// The result of a run; `None` if the user has ended it before the first buyer came, so that there is nothing to report.
    ///
    /// # Errors
    /// Those of the run.
    pub async fn unless_ended<T>(&self, run: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
        let ended_before = async {
            self.ending.requested().await;
            if self.began_at().is_some() {
                pending::<()>().await; // the run ends by itself
            }
        };
        tokio::select! {
            biased;
            run = run => run.map(Some),
            () = ended_before => Ok(None),
        }
    }

    /// That the user has ended the run, and when, in words; `None` if that was not requested.
    pub(crate) fn ended(&self) -> Option<String> {
        Some(format!("ended by the user after {:.1} s", self.ended_after()?.as_secs_f64()))
    }

    /// Counts the answer to a click. `asking` is lowered last of the two, so that [`Counts::sold_at_most`] is never too low.
    pub(crate) fn answered(&self, answer: &Answer, latency: Duration) {
        let (queued, confirmed) = (matches!(answer, Answer::Queued { .. }), matches!(answer, Answer::Bought { .. }));
        self.served.fetch_add(1, Relaxed);
        self.bought.fetch_add(usize::from(queued || confirmed), Relaxed);
        self.asking.fetch_sub(1, Relaxed);
        if !queued {
            self.settled.fetch_add(usize::from(confirmed), Relaxed);
            self.told(answer, latency);
        }
    }

    /// Counts the last answer to a buyer, and how long the buyer waited for it.
    pub(crate) fn told(&self, answer: &Answer, latency: Duration) {
        self.tally.count(answer, latency);
        self.yes.fetch_add(usize::from(matches!(answer, Answer::Bought { .. })), Relaxed);
        self.errors.fetch_add(usize::from(*answer == Answer::Unknown), Relaxed);
    }

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
    pub fn unconfirmed(&self) -> usize {
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
