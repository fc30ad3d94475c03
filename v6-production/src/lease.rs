//! A lease with a TTL and a fencing token: the right to do something alone, for a limited time.
//!
//! The TTL is for holders that die: the lease expires, and nobody has to clean up. The fencing token is for holders that are
//! delayed. A process can be frozen, or its writes can hang in the network, while the lease passes to another process. When it
//! wakes up, it still believes that it is the holder. So each holder has a higher number than the last one, every write carries it,
//! and Redis and PostgreSQL refuse a number that is lower than one they have seen.

use std::{
    process,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout_at};

use crate::sql::in_time;

/// How long a lease lasts without renewal. When a holder dies, nobody does its work for this time.
const TTL: Duration = Duration::from_secs(5);
/// How often a holder renews its lease. Three renewals in a row may fail.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// A lease that this process has taken. [`number`](Lease::number) fails once it has run out.
pub(crate) struct Lease {
    sql: PgPool,
    name: String,
    number: i64,
    /// When the lease runs out, by this process's clock, which goes on while the process is frozen.
    ends: Mutex<Instant>,
}

impl Lease {
    /// Takes a lease by compare-and-swap; `None` if another process holds it. A lease that ends later than a new one is free, too:
    /// PostgreSQL's clock was set back. If its holder is alive, its number is too low from now on.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub(crate) async fn take(sql: &PgPool, name: &str) -> sqlx::Result<Option<Lease>> {
        let asked = Instant::now();
        let take = "insert into leases as last (name, holder, number, expires_at) values ($1, $2, 1, now_ms() + $3)
                    on conflict (name) do update
                    set holder = excluded.holder, number = last.number + 1, expires_at = excluded.expires_at
                    where last.expires_at <= now_ms() or last.expires_at > now_ms() + $3
                    returning number";
        let take = sqlx::query_scalar(take).bind(name).bind(&*HOLDER).bind(TTL.as_millis() as i64);
        let number: Option<i64> = in_time(take.fetch_optional(sql)).await?;
        // Counted from before the query, so that it ends earlier by our clock than by the database's.
        let lease = |number| Lease { sql: sql.clone(), name: name.into(), number, ends: Mutex::new(asked + TTL) };
        Ok(number.map(lease))
    }

    /// The fencing token, which every write carries.
    ///
    /// # Errors
    /// The lease has run out by this process's clock, so it must not write any more.
    pub(crate) fn number(&self) -> anyhow::Result<i64> {
        ensure!(Instant::now() < self.ends(), "the lease on {} has run out", self.name);
        Ok(self.number)
    }

    /// Runs `work` and renews the lease meanwhile. If the lease is lost, the work is cancelled.
    ///
    /// # Errors
    /// The work fails, or the lease is lost.
    pub(crate) async fn while_held<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            lost = self.renew() => Err(lost),
        }
    }

    /// Ensures that only the holder can commit this transaction: until it ends, no other process can take the lease.
    ///
    /// # Errors
    /// Another process has the lease, or PostgreSQL fails.
    pub(crate) async fn confirm(&self, tx: &mut PgConnection) -> anyhow::Result<()> {
        let query = "select true from leases where name = $1 and number = $2 for share";
        let query = sqlx::query_scalar::<_, bool>(query).bind(&self.name).bind(self.number()?);
        let ours = in_time(query.fetch_optional(tx)).await?;
        ours.map(drop).with_context(|| format!("another process has taken the lease on {}", self.name))
    }

    /// Releases the lease, so that the next holder need not wait. An error does no harm, because the lease expires.
    pub(crate) async fn release(self) {
        let update = "update leases set expires_at = 0 where name = $1 and number = $2";
        let update = sqlx::query(update).bind(&self.name).bind(self.number).execute(&self.sql);
        if let Err(error) = in_time(update).await {
            tracing::debug!("release of the lease on {}: {error}", self.name);
        }
    }

    /// Renews the lease until it is lost. Returns the reason.
    async fn renew(&self) -> anyhow::Error {
        loop {
            sleep(RENEW_EVERY).await;
            let asked = Instant::now();
            match timeout_at(self.ends(), self.extend()).await {
                Ok(Ok(())) => *self.ends.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = asked + TTL,
                Ok(Err(error)) if error.is::<sqlx::Error>() => tracing::debug!("lease on {}: {error}", self.name),
                Ok(Err(lost)) => return lost,
                Err(_) => return anyhow::anyhow!("the lease on {} could not be renewed", self.name),
            }
        }
    }

    async fn extend(&self) -> anyhow::Result<()> {
        let update = "update leases set expires_at = now_ms() + $3 where name = $1 and number = $2";
        let update = sqlx::query(update).bind(&self.name).bind(self.number).bind(TTL.as_millis() as i64);
        if in_time(update.execute(&self.sql)).await?.rows_affected() == 0 {
            bail!("another process has taken the lease on {}", self.name);
        }
        Ok(())
    }

    fn ends(&self) -> Instant {
        *self.ends.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The name of this process in the table of leases, for operators.
static HOLDER: LazyLock<String> = LazyLock::new(|| format!("process {} ({:08x})", process::id(), fastrand::u32(..)));
