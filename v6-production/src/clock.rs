use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use redis::RedisResult;
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    redis_store::{RedisStore, SharedConnection},
    sql::in_time,
    supervise,
};

/// How often the clocks are compared. In between, this process's clock drifts by microseconds.
const EVERY: Duration = Duration::from_secs(1);
/// An answer that took longer than this is ignored, because it does not say precisely when it was given.
const PROMPT: Duration = Duration::from_millis(250);

/// Redis's clock: all instances share it, and sales open by it. In a cluster each sale has the clock of its primary. This machine's own clock may be minutes off, and nobody would
/// notice.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// For each primary of Redis, what is added to the time since `start`. Their number stays the same after a failover.
    offsets: Vec<AtomicI64>,
    /// How many milliseconds PostgreSQL's clock is ahead of Redis's.
    sql_ahead: AtomicI64,
}

impl Clock {
    /// A clock that is set by Redis and compared with PostgreSQL's.
    ///
    /// # Errors
    /// Redis or PostgreSQL does not answer.
    pub(crate) async fn new(redis: &RedisStore, sql: &PgPool) -> anyhow::Result<Clock> {
        let offsets = redis.shards().iter().map(|_| AtomicI64::new(0)).collect();
        let clock = Clock { start: Instant::now(), offsets, sql_ahead: AtomicI64::new(0) };
        clock.set(redis, Duration::MAX).await?;
        clock.compare_with_sql(sql, Duration::MAX).await?;
        Ok(clock)
    }

    /// The time in milliseconds since 1970, by the first primary.
    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms_of(0)
    }

    /// The time in milliseconds since 1970, by the primary with this number.
    pub(crate) fn now_ms_of(&self, shard: usize) -> i64 {
        self.offsets[shard % self.offsets.len()].load(Relaxed) + self.start.elapsed().as_millis() as i64
    }

    /// Converts a time by PostgreSQL's clock to this clock, both in milliseconds since 1970. PostgreSQL decides when an order
    /// expires, and pages count down by this clock.
    pub(crate) fn of_sql(&self, sql_ms: i64) -> i64 {
        sql_ms - self.sql_ahead.load(Relaxed)
    }

    async fn compare_with_sql(&self, sql: &PgPool, prompt: Duration) -> sqlx::Result<()> {
        let asked = self.now_ms();
        let now: i64 = in_time(sqlx::query_scalar("select now_ms()").fetch_one(sql)).await?;
        let answered = self.now_ms();
        if i128::from(answered - asked) <= prompt.as_millis() as i128 {
            self.sql_ahead.store(now - (asked + answered) / 2, Relaxed);
        }
        Ok(())
    }

    async fn set(&self, redis: &RedisStore, prompt: Duration) -> RedisResult<()> {
        let each = redis.shards().into_iter().zip(&self.offsets).map(|(shard, offset)| self.ask(shard, offset, prompt));
        join_all(each).await.into_iter().collect()
    }

    async fn ask(&self, mut shard: SharedConnection, offset: &AtomicI64, prompt: Duration) -> RedisResult<()> {
        let asked = self.start.elapsed();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut shard).await?;
        let answered = self.start.elapsed();
        if answered - asked <= prompt {
            // Redis was asked before its answer came: this clock may be behind, and is never ahead. No page opens too early.
            offset.store(seconds * 1000 + micros / 1000 - (answered.as_millis() as i64 + 1), Relaxed);
        }
        Ok(())
    }

    /// Compares the clocks again and again, until `stop`.
    pub(crate) async fn follow(&self, redis: &RedisStore, sql: &PgPool, stop: &CancellationToken) {
        let compare = || async move {
            let set = self.set(redis, PROMPT).await;
            self.compare_with_sql(sql, PROMPT).await?;
            set?;
            let _ = stop.run_until_cancelled(sleep(EVERY)).await;
            Ok(())
        };
        supervise::keep("clock", stop, compare).await;
    }
}
