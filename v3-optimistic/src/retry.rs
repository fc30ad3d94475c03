use std::time::Duration;

use tokio::time::sleep;

/// What a buyer does after a conflict: wait a random time up to `base`, then up to twice that, and so on up to `cap`.
///
/// The waits of the defaults add up to 13 s at the very most, below the shop's `REQUEST_TIMEOUT`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Retry {
    /// Times a buyer tries again before the answer is `conflict`
    #[arg(long, env = "RETRIES", value_name = "RETRIES", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retries: u32,

    /// Milliseconds the first wait may take; it doubles with each
    #[arg(long, env = "BACKOFF_BASE_MS", value_name = "BACKOFF_BASE_MS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_base_ms: u64,

    /// Milliseconds a wait may grow to
    #[arg(long, env = "BACKOFF_CAP_MS", value_name = "BACKOFF_CAP_MS", default_value_t = 4000,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_cap_ms: u64,
}

impl Retry {
    /// Waits after the first attempt (0), after the second, and so on. Full jitter: a crowd that waits the same time meets again.
    pub async fn wait(&self, attempt: u32) {
        let at_most = self.backoff_cap_ms.min(self.backoff_base_ms << attempt.min(20));
        sleep(Duration::from_millis(fastrand::u64(0..=at_most))).await;
    }
}
