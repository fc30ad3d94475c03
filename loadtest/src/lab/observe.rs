//! Measurements from outside: PostgreSQL, nginx and the shops' counters.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use redis::InfoDict;
use sqlx::AnyPool;
use tokio::{sync::watch, time::interval};

use crate::{
    buyer::client::Connection,
    lab::stores::Stores,
    record::{Edge, Reservations},
    verdict::latency::Latency,
};

/// The number of statements executed in database `name` so far; `None` if the server does not count them.
pub async fn statements(admin: Option<&AnyPool>, name: &str) -> Option<i64> {
    let query = "select coalesce(sum(calls), 0)::bigint from pg_stat_statements
                 where dbid = (select oid from pg_database where datname = $1)";
    sqlx::query_scalar(query).bind(name).fetch_one(admin?).await.ok()
}

/// The largest number of sessions in database `name` that waited for a lock at the same time. Samples every 20 ms until `stop` is
/// true.
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

/// How long reservations since `began_at` took to become orders, and when the last of these was confirmed, in milliseconds after it.
/// Without `began_at`, all reservations of these sales. `None` if there are no orders.
///
/// # Errors
/// The database fails.
pub async fn reservations(pool: &AnyPool, sales: &[i64], began_at: Option<i64>) -> sqlx::Result<Option<Reservations>> {
    let mut took = Vec::new();
    let mut last = 0;
    for sale in sales {
        let query =
            "select confirmed_at - reserved_at, confirmed_at from orders where sale_id = $1 and reserved_at >= $2";
        let rows: Vec<(i64, i64)> =
            sqlx::query_as(query).bind(sale).bind(began_at.unwrap_or_default()).fetch_all(pool).await?;
        last = rows.iter().map(|row| row.1).fold(last, i64::max);
        took.extend(rows.iter().map(|row| Duration::from_millis(row.0.max(0) as u64)));
    }
    let to_confirmed_ms = Latency::of_samples(took);
    Ok(to_confirmed_ms.map(|to_confirmed_ms| Reservations {
        to_confirmed_ms,
        last_commit_ms: began_at.map(|began_at| last - began_at),
    }))
}

/// The requests that nginx has received so far, and those that it passed on to the shops.
///
/// # Errors
/// nginx or a shop does not answer.
pub async fn edge(nginx: SocketAddr, shops: &[SocketAddr]) -> anyhow::Result<Edge> {
    let status = Connection::open(nginx).await?.get("/edge", None).await?;
    let status = String::from_utf8_lossy(&status.body).into_owned();
    // The line after `server accepts handled requests` has three numbers.
    let counted = status.lines().nth(2).and_then(|line| line.split_whitespace().nth(2)?.parse().ok());
    let passed_on = counters(shops).await?.get("http_requests").copied().unwrap_or_default();
    Ok(Edge { requests: counted.context("nginx does not report its number of requests")?, passed_on })
}

/// What Redis reports about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisStats {
    /// Commands that it has executed so far, those in scripts included.
    pub commands: u64,
    /// Bytes that it has received and sent so far.
    pub bytes: u64,
    /// Bytes of memory in use.
    pub memory: u64,
}

/// What Redis reports about itself now.
///
/// # Errors
/// Redis does not answer.
pub async fn redis(stores: &Stores) -> anyhow::Result<RedisStats> {
    let mut all = RedisStats { commands: 0, bytes: 0, memory: 0 };
    for mut redis in stores.connect_to_each().await? {
        let info: InfoDict = redis::cmd("INFO").query_async(&mut redis).await?;
        let number = |name: &str| info.get::<u64>(name).with_context(|| format!("Redis does not report {name}"));
        all.commands += number("total_commands_processed")?;
        all.bytes += number("total_net_input_bytes")? + number("total_net_output_bytes")?;
        all.memory += number("used_memory")?;
    }
    Ok(all)
}

/// The shops' counters by name, without `_total` at the end. Each is summed over all instances and labels.
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
