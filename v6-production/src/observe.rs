//! What an operator sees: requests and what came of them, what is on its way, and which servers do not answer. Everything at
//! `/metrics` and `/readyz` is known before somebody asks, so that asking often costs nothing.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use redis::pipe;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    App, Role,
    operate::Servers,
    order_id::OrderId,
    relay::Entry,
    shop,
    supervise::{self, not_running},
    transport::{Link, Transport},
};

/// How often we look, and how long a server may take to answer.
const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// Asked by machines, again and again.
const OPERATORS: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

/// Counts an answer, by its route and never by its address: an address can carry a secret, and there is no end of them.
pub(crate) fn count(route: &str, status: StatusCode) {
    if !OPERATORS.contains(&route) {
        let labels = [("route", route.to_owned()), ("status", status.as_u16().to_string())];
        metrics::counter!("http_requests_total", &labels).increment(1);
    }
}

/// Orders as one field of a line in the log: many in one line, so that each can be found and none costs a line.
pub(crate) fn list(orders: &[OrderId]) -> String {
    orders.iter().map(|order| order.0.to_string()).collect::<Vec<_>>().join(" ")
}

/// Which servers this process misses, and which sales Redis has closed.
#[derive(Default)]
pub(crate) struct Health(RwLock<Vec<&'static str>>, RwLock<Vec<i64>>);

impl Health {
    fn missing(&self) -> Vec<&'static str> {
        self.0.read().map(|missing| missing.clone()).unwrap_or_default()
    }

    /// Sales from which nothing is sold before they are rebuilt.
    fn closed_sales(&self) -> Vec<i64> {
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

/// `GET /readyz`: whether requests are to come here, which servers do not do what is needed of them, and which tasks of this
/// process do not run.
///
/// A server that all instances share takes all of them out at once when it is down, if that is called not ready. So it is not
/// ready only without what it cannot work without: to take requests that is Redis, the others may come back later; to carry, it
/// is all three, and its tasks.
pub(crate) async fn ready(State((app, role)): State<(App, Role)>) -> Response {
    let (missing, stopped) = (app.health.missing(), not_running());
    let able = missing.is_empty() && stopped.is_empty();
    let in_need = if role.takes_requests() { missing.contains(&"Redis") } else { !able };
    if in_need {
        let detail = match missing.as_slice() {
            [] => format!("tasks that do not run: {}", stopped.join(", ")),
            missing => format!("no answer from {}", missing.join(", ")),
        };
        return shop::problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", &detail);
    }
    // Another instance sells no more of a closed sale than this one.
    let closed_sales = app.health.closed_sales();
    let status = if able && closed_sales.is_empty() { "ready" } else { "degraded" };
    let body = json!({ "status": status, "missing": missing, "stopped": stopped, "closed_sales": closed_sales });
    Json(body).into_response()
}

/// Tries again and again what this role needs of each server, a write included: a replica answers, too.
pub(crate) async fn follow(app: App, servers: Servers, role: Role, stop: CancellationToken) {
    let asked = &Mutex::new(None);
    let (app, servers) = (&app, &servers);
    supervise::keep("readiness", &stop, || async {
        let rabbitmq = async { if role.carries() { queues(&servers.transport, asked).await } else { Ok(()) } };
        let (sql, redis, rabbitmq) = tokio::join!(
            timeout(PATIENCE, sql(servers, role)),
            timeout(PATIENCE, outboxes(app)),
            timeout(PATIENCE, rabbitmq)
        );
        let answers = [
            ("PostgreSQL", sql.is_ok_and(|answer| answer.is_ok())),
            ("Redis", redis.is_ok_and(|answer| answer.is_ok())),
            ("RabbitMQ", rabbitmq.is_ok_and(|answer| answer.is_ok())),
        ];
        app.health.set(answers.into_iter().filter(|(_, answers)| !answers).map(|(server, _)| server).collect());
        let _ = stop.run_until_cancelled(sleep(EVERY)).await;
        Ok(())
    })
    .await;
}

async fn sql(servers: &Servers, role: Role) -> anyhow::Result<()> {
    let sql = &servers.sql;
    // A write that changes no row: refused all the same where nothing may be written.
    let ask = if role.carries() { "update leases set number = number where false" } else { "select 1" };
    sqlx::query(ask).execute(sql).await?;
    metrics::gauge!("pool_connections").set(f64::from(sql.size()));
    metrics::gauge!("pool_idle").set(sql.num_idle() as f64);
    Ok(())
}

/// How many reservations wait for a relay, and for how long the first of them.
async fn outboxes(app: &App) -> anyhow::Result<()> {
    app.redis.try_write().await?;
    let sales = app.catalogue.all();
    let mut read = pipe();
    read.ping().ignore();
    for &sale in sales.keys() {
        let outbox = app.redis.keys(sale).outbox;
        read.xlen(&outbox).xrange_count(&outbox, "-", "+", 1);
    }
    let found: Vec<redis::Value> = read.query_async(&mut app.redis.shared.clone()).await?;
    let (mut entries, mut oldest) = (0, None);
    for outbox in found.chunks_exact(2) {
        let (length, first): (u64, Vec<Entry>) =
            (redis::from_redis_value_ref(&outbox[0])?, redis::from_redis_value_ref(&outbox[1])?);
        entries += length;
        oldest = oldest.into_iter().chain(first.first().and_then(Entry::written_at)).min();
    }
    let age = oldest.map_or(0, |since| (app.clock.now_ms() - since).max(0));
    metrics::gauge!("outbox_entries").set(entries as f64);
    metrics::gauge!("outbox_oldest_seconds").set(age as f64 / 1000.0);
    closed_sales(app).await
}

/// Which sales Redis has closed: those that it does not have in the epoch that SQL says.
async fn closed_sales(app: &App) -> anyhow::Result<()> {
    let sales = app.catalogue.all();
    let mut numbers: Vec<i64> = sales.keys().copied().collect();
    numbers.sort_unstable();
    let epochs = app.redis.epochs(&numbers).await?;
    let closed = numbers.iter().zip(epochs).filter(|(sale_id, epoch)| *epoch == 0 || sales[sale_id].epoch != *epoch);
    app.health.set_closed_sales(closed.map(|(sale_id, _)| *sale_id).collect());
    Ok(())
}

/// The connection that RabbitMQ is asked on, and whether it has answered the last time.
type Asked = Mutex<Option<(Arc<Link>, bool)>>;

/// How many messages wait for a worker, and whether RabbitMQ takes more.
async fn queues(transport: &Transport, asked: &Asked) -> anyhow::Result<()> {
    let kept = || asked.lock().unwrap_or_else(PoisonError::into_inner);
    let last = kept().clone();
    let link = match last {
        // One that is blocked cannot be closed, and those that were given up would pile up.
        Some((link, answered)) if answered || link.is_blocked() => link,
        _ => Arc::new(transport.connect().await?),
    };
    *kept() = Some((link.clone(), false)); // we may be broken off while we wait
    link.try_publish().await?;
    let Transport { orders, dead, parked, later, .. } = transport;
    for (name, queue) in [("orders", orders), ("dead", dead), ("parked", parked), ("later", later)] {
        let waiting = link.waiting(queue).await.context("RabbitMQ")?;
        metrics::gauge!("queue_messages", "queue" => name).set(waiting);
    }
    *kept() = Some((link, true));
    Ok(())
}
