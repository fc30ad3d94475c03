use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use crate::shop::sales::now_ms;

/// This machine's clock, and by how many milliseconds it was moved: not at all, outside tests.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// Milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        now_ms() + self.0.load(Relaxed)
    }

    /// Moves it forward, or back.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Relaxed);
    }
}
