use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use futures_util::FutureExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::set_up::Wrong;

/// The first and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long an error of the configuration must persist before the program ends. A server that is starting may report wrong errors.
const BELIEVED: Duration = Duration::from_secs(3);

/// The tasks that have failed, and since when they run again; `None` while they are stopped. One map for the process, like its
/// metrics.
static FAILED: Mutex<BTreeMap<String, Option<Instant>>> = Mutex::new(BTreeMap::new());

fn failed() -> MutexGuard<'static, BTreeMap<String, Option<Instant>>> {
    FAILED.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The names of the tasks that have failed and have not run for at least 2 s since.
pub(crate) fn not_running() -> Vec<String> {
    let failed = failed();
    let down = |since: &Option<Instant>| since.is_none_or(|since| since.elapsed() < PAUSES.1);
    failed.iter().filter(|(_, since)| down(since)).map(|(name, _)| name.clone()).collect()
}

/// Exponential back-off with jitter, so that processes which lost the same server do not come back at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Sleeps, longer after each failure: from 50 ms up to 2 s.
    pub(crate) async fn pause(&mut self) {
        let (first, longest) = PAUSES;
        let pause = longest.min(first * 2_u32.saturating_pow(self.failures.min(16)));
        self.failures += 1;
        sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }

    /// True at every tenth failure in a row, when it should be logged.
    pub(crate) fn is_long(&self) -> bool {
        self.failures > 0 && self.failures.is_multiple_of(10)
    }

    /// Starts again with the shortest pause.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Runs `work` again and again until `stop`. After an error or a panic it is restarted after a pause. The first failure in a row is
/// logged.
pub(crate) async fn keep<W: Future<Output = anyhow::Result<()>>>(
    name: &str,
    stop: &CancellationToken,
    mut work: impl FnMut() -> W,
) {
    let mut backoff = Backoff::default();
    while !stop.is_cancelled() {
        let start = Instant::now();
        if let Some(since) = failed().get_mut(name) {
            *since = Some(start);
        }
        // A panic leaves no half-done state: what outlives the work is in a server, or behind locks that ignore poisoning.
        let done = AssertUnwindSafe(async { work().await }).catch_unwind().await;
        match done.unwrap_or_else(|_| Err(anyhow!("it has panicked"))) {
            Ok(()) => {
                backoff.reset();
                failed().remove(name);
            }
            Err(error) => {
                if start.elapsed() > PAUSES.1 {
                    backoff.reset(); // it had worked before
                }
                if backoff.failures == 0 {
                    tracing::warn!("{name}: {error:#}; trying again");
                }
                failed().insert(name.to_owned(), None);
                metrics::counter!("restarts_total", "task" => name.to_owned()).increment(1);
                let _ = stop.run_until_cancelled(backoff.pause()).await;
            }
        }
    }
    failed().remove(name); // a task that was stopped is not missed
}

/// Counts every panic of this process from now on. It is still printed.
pub(crate) fn count_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        metrics::counter!("panics_total").increment(1);
        print(panicked);
    }));
}

/// Tries `connect` until it succeeds, and logs what it waits for.
///
/// # Errors
/// The configuration is wrong, which waiting does not solve.
pub(crate) async fn wait_for<T, C: Future<Output = anyhow::Result<T>>>(
    what: &str,
    connect: impl Fn() -> C,
) -> anyhow::Result<T> {
    let (mut backoff, mut wrong_since) = (Backoff::default(), None);
    loop {
        let error = match connect().await {
            Ok(connection) => {
                if backoff.failures > 0 {
                    tracing::info!("{what} is there");
                }
                return Ok(connection);
            }
            Err(error) => error,
        };
        match Wrong::of(&error) {
            Some(wrong) if wrong_since.get_or_insert_with(Instant::now).elapsed() >= BELIEVED => {
                return Err(wrong.into());
            }
            Some(_) => {}
            None => wrong_since = None,
        }
        if backoff.failures.is_multiple_of(10) {
            tracing::warn!("waiting for {what}: {error:#}");
        }
        backoff.pause().await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_started_again_and_is_named_until_it_runs() {
        let (stop, runs, seen) = (CancellationToken::new(), AtomicUsize::new(0), Mutex::new(Vec::new()));
        let is_down = || not_running().contains(&"a test".to_owned());
        let work = || async {
            seen.lock().unwrap().push(is_down());
            match runs.fetch_add(1, SeqCst) {
                0 => panic!("this is part of the test"),
                1 => Err(anyhow!("an error")),
                _ => {
                    stop.cancel();
                    Ok(())
                }
            }
        };
        timeout(Duration::from_secs(30), keep("a test", &stop, work)).await.unwrap();
        assert_eq!((runs.load(SeqCst), is_down()), (3, false));
        assert_eq!(*seen.lock().unwrap(), [false, true, true]);
    }

    #[tokio::test]
    async fn a_wrong_set_up_is_not_waited_for_and_a_server_that_is_away_is() {
        let wrong = || async { Err::<(), _>(Wrong::tables("orders").into()) };
        let ends = timeout(Duration::from_secs(30), wait_for("a test", wrong)).await.unwrap();
        assert!(ends.unwrap_err().to_string().contains("DATABASE_URL"));
        let away = || async { Err::<(), _>(anyhow!("connection refused")) };
        assert!(timeout(BELIEVED * 2, wait_for("a test", away)).await.is_err(), "it waits");
    }
}
