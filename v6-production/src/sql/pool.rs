use std::{str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use url::Url;

use super::{
    PATIENCE, in_time, schema,
    session::{Session, write_always},
    warnings,
};
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
pub(super) const PING: Duration = Duration::from_secs(2);
/// A connection that was in the pool for less than this is not checked.
const UNTESTED: Duration = Duration::from_secs(1);
/// How long an idle connection stays in the pool.
const IDLE: Duration = Duration::from_secs(30);

/// Connects, with time limits on everything, and creates the tables if they do not exist. A database belongs to one shop: the first
/// namespace that uses it.
///
/// A connection is used only after its first write. So all that it can read is on the synchronous standby, if there is one: after a
/// crash, PostgreSQL also shows what it had not replicated yet, and all its connections are new.
///
/// # Errors
/// PostgreSQL does not answer, the database is another program's or shop's, or a COMMIT would not wait for the standby.
pub(crate) async fn connect(url: &Url, namespace: &str, config: &shop::Config) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.as_str())?.application_name("oversold").options(BOUNDS);
    let mut first = in_time(options.connect()).await?;
    Session::of(&mut first).await?.ensure_durable()?;
    in_time(first.close()).await?;
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.pool_timeout.min(PATIENCE))
        .idle_timeout(IDLE)
        // Our own check has a time limit. sqlx's has none, so a broken connection would keep its place in the pool.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                warnings::forget(); // those about the database, which come when a session begins
                let session = Session::of(connection).await?;
                session.ensure_durable().map_err(|wrong| sqlx::Error::Configuration(wrong.into()))?;
                in_time(write_always(connection)).await
            })
        })
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < UNTESTED || Session::of(connection).await?.is_fit()) })
        })
        .after_release(|connection, _| Box::pin(async move { Ok(Session::of(connection).await?.is_fit()) }))
        .connect_with(options)
        .await?;
    schema::make(&pool).await?;
    schema::claim(&pool, namespace).await?;
    Ok(pool)
}
