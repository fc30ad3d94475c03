use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use redis::RedisResult;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{redis_store::RedisStore, supervise};

/// How often the two are compared. Between, a process drifts by microseconds.
const EVERY: Duration = Duration::from_secs(1);
/// An answer that took longer says too little about when it was given.
const PROMPT: Duration = Duration::from_millis(250);

/// The time, as Redis has it: one clock for all instances, and the one by which a sale opens. This machine's own may be
/// minutes off, and nobody would see.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    offset: AtomicI64,
}

impl Clock {
    /// Set by Redis.
    ///
    /// # Errors
    /// Redis's.
    pub(crate) async fn new(redis: &RedisStore) -> RedisResult<Clock> {
        let clock = Clock { start: Instant::now(), offset: AtomicI64::new(0) };
        clock.set(redis, Duration::MAX).await?;
        Ok(clock)
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        self.offset.load(Relaxed) + self.start.elapsed().as_millis() as i64
    }

    async fn set(&self, redis: &RedisStore, prompt: Duration) -> RedisResult<()> {
        let asked = self.start.elapsed();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut redis.shared.clone()).await?;
        let answered = self.start.elapsed();
        if answered - asked <= prompt {
            let between = (asked + answered) / 2;
            self.offset.store(seconds * 1000 + micros / 1000 - between.as_millis() as i64, Relaxed);
        }
        Ok(())
    }

    /// Compares again and again.
    pub(crate) async fn follow(&self, redis: &RedisStore, stop: &CancellationToken) {
        let compare = || async move {
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
            Ok(self.set(redis, PROMPT).await?)
        };
        supervise::keep("clock", stop, compare).await;
    }
}
