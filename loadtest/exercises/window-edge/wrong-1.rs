//! Wrong: the window begins with the client's first request. Its end is still an edge.

/// Requests that are admitted in a window.
const LIMIT: usize = 6;
/// The length of a window in milliseconds.
const WINDOW_MS: u64 = 10_000;

/// What is remembered about a client.
#[derive(Debug, Default)]
pub struct Limiter {
    began: Option<u64>,
    admitted: usize,
}

impl Limiter {
    /// Whether a request at this time is admitted. Times never decrease.
    pub fn admit(&mut self, now_ms: u64) -> bool {
        if self.began.is_none_or(|began| now_ms - began >= WINDOW_MS) {
            self.began = Some(now_ms);
            self.admitted = 0;
        }
        if self.admitted == LIMIT {
            return false;
        }
        self.admitted += 1;
        true
    }

    /// How many numbers are remembered.
    pub fn remembered(&self) -> usize {
        2
    }
}
