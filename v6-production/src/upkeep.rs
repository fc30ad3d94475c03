//! What keeps Redis in line with SQL, whatever became of it. Nobody waits for this while all is well.

/// Who does it by itself: one instance of all.
mod keeper;
/// Redis made anew from SQL.
mod rebuild;
/// Redis, outbox, queue and SQL laid side by side.
mod reconcile;
/// A new sale.
mod seed;

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

pub(crate) use self::{rebuild::Why, seed::seed};
use crate::{redis_store::RedisStore, transport::Transport};

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

/// Whoever rebuilds or reconciles a sale is alone at it until the end of the transaction; false if somebody else is.
async fn alone(sql: &mut PgConnection, sale_id: i64) -> sqlx::Result<bool> {
    let query = "select pg_try_advisory_xact_lock(5318006, $1)";
    sqlx::query_scalar(query).bind(sale_id as i32).fetch_one(sql).await
}
