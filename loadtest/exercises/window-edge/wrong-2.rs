//! Wrong: a refused request counts, too. A client that does not stop is refused for ever.

use std::collections::VecDeque;

/// Requests that are admitted in a window.
const LIMIT: usize = 6;
/// The length of a window in milliseconds.
const WINDOW_MS: u64 = 10_000;

/// What is remembered about a client.
#[derive(Debug, Default)]
pub struct Limiter {
    admitted: VecDeque<u64>,
}

impl Limiter {
    /// Whether a request at this time is admitted. Times never decrease.
    pub fn admit(&mut self, now_ms: u64) -> bool {
        while self.admitted.front().is_some_and(|at| now_ms - at >= WINDOW_MS) {
            self.admitted.pop_front();
        }
        self.admitted.push_back(now_ms);
        self.admitted.len() <= LIMIT
    }

    /// How many numbers are remembered.
    pub fn remembered(&self) -> usize {
        self.admitted.len()
    }
}
