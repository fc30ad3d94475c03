use std::{str::FromStr, time::Duration};

use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;
use url::Url;

use super::{PATIENCE, no_answer, schema};
use crate::shop;

/// Time limits that PostgreSQL enforces, because a lost host does not close its connections: on a wait for a lock, on a statement,
/// on an idle transaction, and on an idle session (the pool closes idle connections earlier). The last four are for the kernel:
/// unacknowledged data and keepalives.
const BOUNDS: [(&str, &str); 8] = [
    ("lock_timeout", "2s"),
    ("statement_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "4s"),
    ("idle_session_timeout", "60s"),
    ("tcp_user_timeout", "10s"),
    ("tcp_keepalives_idle", "5s"),
    ("tcp_keepalives_interval", "2s"),
    ("tcp_keepalives_count", "3"),
];
/// How long the check of a pooled connection may take.
const PING: Duration = Duration::from_secs(2);
/// A connection that was in the pool for less than this is not checked.
const UNTESTED: Duration = Duration::from_secs(1);
/// How long an idle connection stays in the pool.
const IDLE: Duration = Duration::from_secs(30);

/// Connects, with time limits on everything, and creates the tables if they do not exist. A database belongs to one shop: the first
/// namespace that uses it.
pub(crate) async fn connect(url: &Url, namespace: &str, config: &shop::Config) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.as_str())?.application_name("oversold").options(BOUNDS);
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.pool_timeout.min(PATIENCE))
        .idle_timeout(IDLE)
        // Our own check has a time limit. sqlx's has none, so a broken connection would keep its place in the pool.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < UNTESTED || takes_writes(connection).await?) })
        })
        .after_release(|connection, _| Box::pin(takes_writes(connection)))
        .connect_with(options)
        .await?;
    schema::make(&pool).await?;
    schema::claim(&pool, namespace).await?;
    Ok(pool)
}

/// Checks that a connection works and may write: a session that began while the server was read-only stays read-only.
async fn takes_writes(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let query = sqlx::query_scalar("select current_setting('transaction_read_only') = 'off'");
    timeout(PING, query.fetch_one(connection)).await.unwrap_or_else(|_| Err(no_answer()))
}
