//! What keeps Redis in line with SQL, whatever became of it. Nobody waits for this while all is well.

/// What is only in the queue gets into SQL.
mod drain;
/// The reservations that Redis holds.
mod held;
/// Who does it by itself: one instance of all.
mod keeper;
/// A sale as SQL has it.
mod picture;
/// Redis rebuilt from SQL.
mod rebuild;
/// Redis, outbox, queue and SQL laid side by side.
mod reconcile;
/// A new sale.
mod seed;
/// What only Redis knows gets into SQL.
mod settle;
/// Written beside, then put in place at once.
mod stage;
/// Window and stock of a sale that is on.
mod terms;
/// How far a sale has been compared.
mod walk;

use std::{sync::LazyLock, time::Duration};

use redis::{RedisResult, Script};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, timeout};

pub(crate) use self::{rebuild::Why, seed::seed, stage::Stage, walk::Walk};
use crate::{
    catalogue::SHOWN_MS,
    lease::Lease,
    redis_store::RedisStore,
    transport::{Link, Transport},
};

/// How long RabbitMQ may take here. Upkeep can do without it, and others wait for upkeep.
const A_MOMENT: Duration = Duration::from_secs(2);
/// How often we look whether a lease is free.
const LOOK_EVERY: Duration = Duration::from_millis(50);

static SUSPEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("upkeep/suspend.lua")));

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
        let query = "select id from sales where closes_at > now_ms() - $1 order by id";
        sqlx::query_scalar(query).bind(SHOWN_MS).fetch_all(&self.sql).await
    }

    /// A connection to RabbitMQ; `None` if it does not answer at once.
    pub(crate) async fn link(&self) -> Option<Link> {
        timeout(A_MOMENT, self.transport.connect()).await.ok()?.ok()
    }
}

/// The lease of whoever rebuilds or seeds a sale, or tells it who is denied; `None` if somebody else still has it after `patience`.
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

/// Closes a sale in Redis until it is rebuilt, unless it is in a later epoch already. Anybody may, who finds that Redis is wrong.
pub(crate) async fn suspend(redis: &RedisStore, sale_id: i64, epoch: i64) -> RedisResult<()> {
    SUSPEND.key(redis.keys(sale_id).sale).arg(epoch).invoke_async(&mut redis.shared.clone()).await
}
