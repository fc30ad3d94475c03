//! What the database server and the shops say of themselves during a run, asked from outside.

use std::{net::SocketAddr, time::Duration};

use sqlx::AnyPool;
use tokio::{sync::watch, time::interval};

use crate::client::Connection;

/// Statements that were executed in database `name` so far; nothing if this server does not count them.
pub async fn statements(admin: Option<&AnyPool>, name: &str) -> Option<i64> {
    let query = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements
                 where dbid = (select oid from pg_database where datname = $1)";
    sqlx::query_scalar(query).bind(name).fetch_one(admin?).await.ok()
}

/// The most connections to database `name` that waited for a lock at the same time, until `stop` says so.
pub async fn lock_waiters(admin: AnyPool, name: String, mut stop: watch::Receiver<bool>) -> i64 {
    let query = "select count(*) from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'";
    let mut ticks = interval(Duration::from_millis(20));
    let mut most = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return most,
        }
        if let Ok(now) = sqlx::query_scalar(query).bind(&name).fetch_one(&admin).await {
            most = most.max(now);
        }
    }
}

/// A counter of the shops', summed over the instances; nothing if none of them has it.
pub async fn counter(shops: &[SocketAddr], name: &str) -> Option<u64> {
    let mut sum = None;
    for &shop in shops {
        let mut connection = Connection::open(shop).await.ok()?;
        let reply = connection.get("/metrics", None).await.ok()?;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        if let Some(value) = value {
            *sum.get_or_insert(0) += value;
        }
    }
    sum
}
