use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The first pause after a failure, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Exponential back-off with jitter: so that whoever lost the same server does not come back in the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(crate) async fn pause(&mut self) {
        let (first, longest) = PAUSES;
        let pause = longest.min(first * 2_u32.saturating_pow(self.failures.min(16)));
        self.failures += 1;
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Runs `work` until `stop`. When it fails, it is begun anew after a pause; the first failure in a row is logged.
pub(crate) async fn keep<W: Future<Output = anyhow::Result<()>>>(
    name: &str,
    stop: &CancellationToken,
    mut work: impl FnMut() -> W,
) {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let start = std::time::Instant::now();
        match work().await {
            Ok(()) => backoff.reset(),
            Err(error) => {
                if start.elapsed() > PAUSES.1 {
                    backoff.reset(); // it has worked for a while
                }
                if backoff.failures == 0 {
                    tracing::warn!("{name}: {error:#}; trying again");
                }
                metrics::counter!("restarts_total", "task" => name.to_owned()).increment(1);
                let _ = stop.run_until_cancelled(backoff.pause()).await;
            }
        }
    }
}

/// Tries `connect` until it works; says what it is waiting for, and when it is over.
pub(crate) async fn wait_for<T, C: Future<Output = anyhow::Result<T>>>(what: &str, connect: impl Fn() -> C) -> T {
    let mut backoff = Backoff::default();
    loop {
        match connect().await {
            Ok(connection) => {
                if backoff.failures > 0 {
                    tracing::info!("{what} is there");
                }
                return connection;
            }
            Err(error) => {
                if backoff.failures.is_multiple_of(10) {
                    tracing::warn!("waiting for {what}: {error:#}");
                }
                backoff.pause().await;
            }
        }
    }
}
