//! What the database server and the shops say of themselves during a run, asked from outside.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use sqlx::AnyPool;
use tokio::{sync::watch, time::interval};

use crate::{
    buyer::client::Connection,
    record::{Edge, Reservations},
    verdict::latency::Latency,
};

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

/// How long reservations took to become orders, and how long the last of them took since `began_at`, as SQL has it;
/// nothing if there are none.
///
/// # Errors
/// The database's.
pub async fn reservations(pool: &AnyPool, sales: &[i64], began_at: Option<i64>) -> sqlx::Result<Option<Reservations>> {
    let mut took = Vec::new();
    let mut last = 0;
    for sale in sales {
        let query = "select confirmed_at - reserved_at, confirmed_at from orders where sale_id = $1";
        let rows: Vec<(i64, i64)> = sqlx::query_as(query).bind(sale).fetch_all(pool).await?;
        last = rows.iter().map(|row| row.1).fold(last, i64::max);
        took.extend(rows.iter().map(|row| Duration::from_millis(row.0.max(0) as u64)));
    }
    let to_confirmed_ms = Latency::of_samples(took);
    Ok(to_confirmed_ms.map(|to_confirmed_ms| Reservations {
        to_confirmed_ms,
        last_commit_ms: began_at.map(|began_at| last - began_at),
    }))
}

/// What nginx has seen so far, and what of it the shops have.
///
/// # Errors
/// One of them does not answer.
pub async fn edge(nginx: SocketAddr, shops: &[SocketAddr]) -> anyhow::Result<Edge> {
    let status = Connection::open(nginx).await?.get("/edge", None).await?;
    let status = String::from_utf8_lossy(&status.body).into_owned();
    // Under `server accepts handled requests` a line of three numbers.
    let counted = status.lines().nth(2).and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    let passed_on = counters(shops).await?.get("http_requests").copied().unwrap_or_default();
    Ok(Edge { requests: counted.context("nginx does not say how much it has seen")?, passed_on })
}

/// The shops' counters, summed over the instances and over what they tell apart, without `_total` at the end of their names.
///
/// # Errors
/// A shop does not answer.
pub async fn counters(shops: &[SocketAddr]) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counters = BTreeMap::new();
    for &shop in shops {
        let reply = Connection::open(shop).await?.get("/metrics", None).await?;
        for line in String::from_utf8_lossy(&reply.body).lines() {
            let counted = line.rsplit_once(' ').and_then(|(name, n)| {
                let name = name.split('{').next()?.strip_suffix("_total")?;
                Some((name, n.parse::<u64>().ok()?))
            });
            if let Some((name, n)) = counted {
                *counters.entry(name.to_owned()).or_default() += n;
            }
        }
    }
    Ok(counters)
}
