//! What keeps Redis in line with SQL, whatever became of it. Nobody waits for this while all is well.

/// Who does it by itself: one instance of all.
mod keeper;
/// A sale as SQL has it.
mod picture;
/// Redis made anew from SQL.
mod rebuild;
/// Redis, outbox, queue and SQL laid side by side.
mod reconcile;
/// A new sale.
mod seed;
/// Written beside, then put in place at once.
mod stage;

use std::time::Duration;

use sqlx::PgPool;

pub(crate) use self::{rebuild::Why, seed::seed, stage::Stage};
use crate::{lease::Lease, redis_store::RedisStore, transport::Transport};

/// What upkeep works on.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) sql: PgPool,
    pub(crate) redis: RedisStore,
    pub(crate) transport: Transport,
    /// How long a path is good.
    pub(crate) path_ttl: Duration,
    /// How long after that a reservation may be nowhere.
    pub(crate) lost_after: Duration,
    /// How often Redis is compared with SQL.
    pub(crate) reconcile_every: Duration,
}

impl Upkeep {
    /// Sales that are not over for a day: of those Redis is to know.
    pub(crate) async fn sales(&self) -> sqlx::Result<Vec<i64>> {
        let query = "select id from sales where closes_at > now_ms() - 86400000 order by id";
        sqlx::query_scalar(query).fetch_all(&self.sql).await
    }
}

/// The lease of whoever rebuilds, reconciles or seeds a sale, or tells it who is denied; `None` if somebody else is at it.
pub(crate) async fn alone(sql: &PgPool, sale_id: i64) -> sqlx::Result<Option<Lease>> {
    Lease::take(sql, &format!("sale {sale_id}")).await
}
