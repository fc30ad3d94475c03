//! Keeps Redis consistent with SQL, whatever was lost. While all is well, no request waits for it.

/// The deny list and its copies in Redis.
pub(crate) mod deny;
/// Waits until the workers have emptied the queue.
mod drain;
/// Writes to a sale in Redis that carry a fencing token.
mod fenced_writer;
/// The result of a comparison.
mod findings;
/// The reservations in Redis.
mod held;
/// The loop that one instance, the leader, runs.
mod keeper;
/// A snapshot of a sale in SQL.
mod picture;
/// Rebuilds a sale in Redis from SQL.
pub(crate) mod rebuild;
/// Compares Redis, outbox, queue and SQL.
mod reconcile;
/// Creates a sale.
pub(crate) mod seed;
/// Writes to SQL what only Redis knows.
mod settle;
/// Copies a changed window or stock to Redis.
mod terms;
/// How far a sale has been compared.
pub(crate) mod walk;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    catalogue::SHOWN_MS,
    lease::Lease,
    redis_store::RedisStore,
    transport::{Link, Transport},
};

/// How long RabbitMQ may take to answer. Upkeep works without it, and must not wait long.
const A_MOMENT: Duration = Duration::from_secs(2);
/// How often a waiting process checks whether a lease is free.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The servers and settings of upkeep.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) sql: PgPool,
    pub(crate) redis: RedisStore,
    pub(crate) transport: Transport,
    /// How long a buyer has to pay.
    pub(crate) pay_within: Duration,
    /// The age, counted from its path, at which upkeep places a reservation that no worker has placed.
    pub(crate) place_after: Duration,
    /// How often Redis is compared with SQL.
    pub(crate) reconcile_every: Duration,
    /// The length of a frequency window.
    pub(crate) frequency_window: Duration,
}

impl Upkeep {
    /// The sales that Redis should have: all that have not been closed for a day.
    pub(crate) async fn sales(&self) -> sqlx::Result<Vec<i64>> {
        let query = "select id from sales where closes_at > now_ms() - $1 order by id";
        sqlx::query_scalar(query).bind(SHOWN_MS).fetch_all(&self.sql).await
    }

    /// A connection to RabbitMQ; `None` if it does not answer within 2 s.
    pub(crate) async fn link(&self) -> Option<Link> {
        timeout(A_MOMENT, self.transport.connect()).await.ok()?.ok()
    }
}

/// Takes the lease of a sale, which every fenced write needs; `None` if another process still has it after `patience`.
pub(crate) async fn alone(sql: &PgPool, sale_id: i64, patience: Duration) -> sqlx::Result<Option<Lease>> {
    let (name, deadline) = (format!("sale {sale_id}"), Instant::now() + patience);
    loop {
        let lease = Lease::take(sql, &name).await?;
        if lease.is_some() || Instant::now() >= deadline {
            return Ok(lease);
        }
        sleep(LOOK_EVERY).await;
    }
}
