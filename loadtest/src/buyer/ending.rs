//! Ending a run before its last buyer has come.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::SetOnce,
    time::{Instant, sleep_until},
};

/// How long buyers still wait for their answer after the end was requested. A shop that works answers well within it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The user's request to end a run early. All clones are the same request. Buyers who have not come yet do not come. Buyers who
/// wait are given up a second later, and their result is unknown.
#[derive(Debug, Clone, Default)]
pub struct Ending(Arc<SetOnce<Instant>>);

impl Ending {
    /// Requests the end. Further requests change nothing.
    pub fn request(&self) {
        let _ = self.0.set(Instant::now());
    }

    /// When the end was requested; `None` if it was not. Takes no lock, so that every buyer can look before coming.
    pub fn requested_at(&self) -> Option<Instant> {
        self.0.get().copied()
    }

    /// Waits until the end is requested.
    pub async fn requested(&self) {
        self.0.wait().await;
    }

    /// Waits until the buyers who still wait for an answer are to be given up.
    pub(crate) async fn given_up(&self) {
        let requested = *self.0.wait().await;
        sleep_until(requested + PATIENCE).await;
    }
}
