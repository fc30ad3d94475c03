//! What the database server and the shops say of themselves during a run, asked from outside.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

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

/// The shops' counters, summed over the instances, without `_total` at the end of their names.
///
/// # Errors
/// A shop does not answer.
pub async fn counters(shops: &[SocketAddr]) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counters = BTreeMap::new();
    for &shop in shops {
        let reply = Connection::open(shop).await?.get("/metrics", None).await?;
        for line in String::from_utf8_lossy(&reply.body).lines() {
            let counted =
                line.split_once(' ').and_then(|(name, n)| Some((name.strip_suffix("_total")?, n.parse::<u64>().ok()?)));
            if let Some((name, n)) = counted {
                *counters.entry(name.to_owned()).or_default() += n;
            }
        }
    }
    Ok(counters)
}
