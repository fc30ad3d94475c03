//! What keeps Redis in line with SQL, whatever became of it. Nobody waits for this while all is well.

/// The reservations that Redis holds.
mod held;
/// Who does it by itself: one instance of all.
mod keeper;
/// Redis made anew from SQL.
mod rebuild;
/// Redis, outbox, queue and SQL laid side by side.
mod reconcile;
/// A new sale.
mod seed;
/// What only Redis knows gets into SQL.
mod settle;

use std::{sync::LazyLock, time::Duration};

use redis::{RedisResult, Script};
use sqlx::PgPool;
use tokio::time::timeout;

pub(crate) use self::{rebuild::Why, seed::seed};
use crate::{
    redis_store::RedisStore,
    transport::{Link, Transport},
};

/// How long RabbitMQ may take here. Upkeep can do without it, and others wait for upkeep.
const A_MOMENT: Duration = Duration::from_secs(2);

static CLOSE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("upkeep/close.lua")));

/// What upkeep works on.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) sql: PgPool,
    pub(crate) redis: RedisStore,
    pub(crate) transport: Transport,
    /// In which time an order is to be paid.
    pub(crate) pay_within: Duration,
    /// How old a reservation is, counted from its path, before it is placed from here and not by a worker.
    pub(crate) place_after: Duration,
    /// How often Redis is compared with SQL.
    pub(crate) reconcile_every: Duration,
}

impl Upkeep {
    /// Sales that are not over for a day: of those Redis is to know.
    pub(crate) async fn sales(&self) -> sqlx::Result<Vec<i64>> {
        let query = "select id from sales where closes_at > now_ms() - 86400000 order by id";
        sqlx::query_scalar(query).fetch_all(&self.sql).await
    }

    /// A connection to RabbitMQ; `None` if it does not answer at once.
    pub(crate) async fn link(&self) -> Option<Link> {
        timeout(A_MOMENT, self.transport.connect()).await.ok()?.ok()
    }
}

/// Closes a sale in Redis until it is rebuilt, unless it is in a later epoch already.
pub(crate) async fn close(redis: &RedisStore, sale_id: i64, epoch: i64) -> RedisResult<()> {
    CLOSE.key(redis.keys(sale_id).sale).arg(epoch).invoke_async(&mut redis.shared.clone()).await
}
