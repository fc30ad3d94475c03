use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use crate::shop::sales::now_ms;

/// This machine's clock, plus an offset in milliseconds that only tests change.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// The time in milliseconds since 1970.
    pub fn now_ms(&self) -> i64 {
        now_ms() + self.0.load(Relaxed)
    }

    /// Moves the clock forward by `ms` milliseconds, or back if `ms` is negative.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Relaxed);
    }
}
