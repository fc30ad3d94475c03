use std::time::Duration;

use tokio::time::sleep;

/// Retries after a conflict: exponential back-off with full jitter. The first wait is a random time up to `base`, the second up to
/// twice `base`, and so on up to `cap`.
///
/// With the defaults, all waits of one purchase add up to 13 s at most, which is below the shop's `REQUEST_TIMEOUT`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Retry {
    /// Retries after a conflict, before the answer is `conflict`
    #[arg(long, env = "RETRIES", value_name = "RETRIES", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retries: u32,

    /// Longest first wait in milliseconds; it doubles with each retry
    #[arg(long, env = "BACKOFF_BASE_MS", value_name = "BACKOFF_BASE_MS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_base_ms: u64,

    /// Longest wait in milliseconds
    #[arg(long, env = "BACKOFF_CAP_MS", value_name = "BACKOFF_CAP_MS", default_value_t = 4000,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_cap_ms: u64,
}

impl Retry {
    /// Waits before an attempt, except before the first one (number 0). Full jitter: a crowd that waits the same time meets again.
    pub async fn wait_before(&self, attempt: u32) {
        let Some(retry) = attempt.checked_sub(1) else { return };
        let at_most = self.backoff_cap_ms.min(self.backoff_base_ms << retry.min(20));
        sleep(Duration::from_millis(fastrand::u64(0..=at_most))).await;
    }
}
