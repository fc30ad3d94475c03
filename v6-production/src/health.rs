//! Whether this process can do its work: which servers answer, and which sales are closed. Looked up every second.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use futures_util::future::try_join_all;
use redis::pipe;
use sqlx::PgPool;
use tokio::time::{sleep, timeout};

use crate::{
    app::App,
    config::Role,
    redis_store::{ALIVE, SaleKeys, SharedConnection},
    relay::outbox::Entry,
    supervise,
    transport::{Link, Transport},
};

/// How often the servers are asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The servers that do not answer, and the sales that are closed in Redis.
#[derive(Default)]
pub(crate) struct Health(RwLock<Vec<&'static str>>, RwLock<Vec<i64>>);

impl Health {
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.0.read().map(|missing| missing.clone()).unwrap_or_default()
    }

    /// Sales that are closed until they are rebuilt.
    pub(crate) fn closed_sales(&self) -> Vec<i64> {
        self.1.read().map(|closed| closed.clone()).unwrap_or_default()
    }

    fn set_closed_sales(&self, closed: Vec<i64>) {
        metrics::gauge!("closed_sales").set(closed.len() as f64);
        if let Ok(mut known) = self.1.write() {
            *known = closed;
        }
    }

    fn set(&self, missing: Vec<&'static str>) {
        if let Ok(mut known) = self.0.write() {
            if *known != missing {
                match missing.as_slice() {
                    [] => tracing::info!("all servers answer"),
                    missing => tracing::warn!("no answer from {}", missing.join(", ")),
                }
            }
            *known = missing;
        }
    }
}

/// Tries again and again what this role needs of each server, until the shop stops. It includes a write, because a read-only
/// replica answers as well.
pub(crate) async fn follow(health: Arc<Health>, app: App, transport: Transport, role: Role) {
    let asked = &Mutex::new(None);
    let (health, app, transport, stop) = (&health, &app, &transport, &app.stop);
    supervise::keep("readiness", stop, || async {
        let rabbitmq = async { if role.carries() { queues(transport, asked).await } else { Ok(()) } };
        let (sql, redis, rabbitmq) = tokio::join!(
            timeout(PATIENCE, sql(&app.sql, role)),
            timeout(PATIENCE, redis(health, app)),
            timeout(PATIENCE, rabbitmq)
        );
        let answers = [
            ("PostgreSQL", sql.is_ok_and(|answer| answer.is_ok())),
            ("Redis", redis.is_ok_and(|answer| answer.is_ok())),
            ("RabbitMQ", rabbitmq.is_ok_and(|answer| answer.is_ok())),
        ];
        health.set(answers.into_iter().filter(|(_, answers)| !answers).map(|(server, _)| server).collect());
        let _ = stop.run_until_cancelled(sleep(EVERY)).await;
        Ok(())
    })
    .await;
}

async fn sql(sql: &PgPool, role: Role) -> anyhow::Result<()> {
    // A write that changes no row. A read-only server refuses it.
    let ask = if role.carries() { "update leases set number = number where false" } else { "select 1" };
    sqlx::query(ask).execute(sql).await?;
    metrics::gauge!("pool_connections").set(f64::from(sql.size()));
    metrics::gauge!("pool_idle").set(sql.num_idle() as f64);
    Ok(())
}

/// Tries Redis, and measures how many entries wait for a relay and how long the oldest one has waited.
async fn redis(health: &Health, app: &App) -> anyhow::Result<()> {
    app.redis.try_write().await?;
    let sales = app.catalogue.all();
    let shards = app.redis.by_shard(sales.keys().copied());
    let found = try_join_all(shards.into_iter().map(|(shard, sales)| outboxes(app, shard, sales))).await?;
    let (entries, age) = found.into_iter().fold((0, 0), |all, one| (all.0 + one.0, all.1.max(one.1)));
    metrics::gauge!("outbox_entries").set(entries as f64);
    metrics::gauge!("outbox_oldest_seconds").set(age as f64 / 1000.0);
    closed_sales(health, app).await
}

/// Tries a write at one primary. Returns the number of entries in the outboxes of these sales, and the age of the oldest in
/// milliseconds.
async fn outboxes(app: &App, mut shard: SharedConnection, sales: Vec<i64>) -> anyhow::Result<(u64, i64)> {
    let mut read = pipe();
    for &sale_id in &sales {
        let SaleKeys { outbox, alive, .. } = app.redis.keys(sale_id);
        read.set_ex(alive, 1, ALIVE.as_secs()).ignore();
        read.xlen(&outbox).xrange_count(&outbox, "-", "+", 1);
    }
    let found: Vec<redis::Value> = read.query_async(&mut shard).await?;
    let (mut entries, mut oldest) = (0, 0);
    for (sale_id, outbox) in sales.into_iter().zip(found.chunks_exact(2)) {
        let (length, first): (u64, Vec<Entry>) =
            (redis::from_redis_value_ref(&outbox[0])?, redis::from_redis_value_ref(&outbox[1])?);
        let written_at = first.first().and_then(Entry::written_at);
        entries += length;
        oldest = written_at.map_or(0, |since| app.now_ms(sale_id) - since).max(oldest);
    }
    Ok((entries, oldest))
}

/// Finds the closed sales: those that Redis does not have in the epoch of SQL.
async fn closed_sales(health: &Health, app: &App) -> anyhow::Result<()> {
    let sales = app.catalogue.all();
    let mut numbers: Vec<i64> = sales.keys().copied().collect();
    numbers.sort_unstable();
    let made = app.redis.made(&numbers).await?;
    let is_open =
        |sale_id: &i64| made.get(sale_id).is_some_and(|sale| sale.epoch > 0 && sales[sale_id].epoch == sale.epoch);
    health.set_closed_sales(numbers.into_iter().filter(|sale_id| !is_open(sale_id)).collect());
    Ok(())
}

/// The connection to RabbitMQ, and whether the last check on it succeeded.
type Asked = Mutex<Option<(Arc<Link>, bool)>>;

/// Tries to publish, and measures how many messages wait in each queue.
async fn queues(transport: &Transport, asked: &Asked) -> anyhow::Result<()> {
    let kept = || asked.lock().unwrap_or_else(PoisonError::into_inner);
    let last = kept().clone();
    let link = match last {
        // A blocked connection cannot be closed. If it were abandoned, such connections would pile up.
        Some((link, answered)) if answered || link.is_blocked() => link,
        _ => Arc::new(transport.connect().await?),
    };
    *kept() = Some((link.clone(), false)); // the time-out may cancel us while we wait
    link.try_publish().await?;
    let Transport { orders, dead, parked, later, .. } = transport;
    for (name, queue) in [("orders", orders), ("dead", dead), ("parked", parked), ("later", later)] {
        let waiting = link.waiting(queue).await.context("RabbitMQ")?;
        metrics::gauge!("queue_messages", "queue" => name).set(waiting);
    }
    *kept() = Some((link, true));
    Ok(())
}
