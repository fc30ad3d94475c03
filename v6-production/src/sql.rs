//! PostgreSQL is the record: how it is reached, how long anything of it may be held, and whose fault an error is.

/// The tables.
mod schema;

use std::{io, str::FromStr, time::Duration};

use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;
use url::Url;

use crate::shop;

/// What PostgreSQL ends by itself, because a host that is lost says no goodbye. In this order: a wait for a lock, a statement,
/// and a transaction whose client does nothing give up what they hold; a session of which nobody has heard for a minute is
/// closed (our pool closes an idle connection before that). The last ones are the kernel's: unacknowledged data and keepalives.
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
/// How long we wait for an answer: longer than a statement may take. A connection that is silent says nothing at all.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a connection may take to show that it is alive, and after what time in the pool it has to.
const PING: Duration = Duration::from_secs(2);
const UNTESTED: Duration = Duration::from_secs(1);
/// How long a connection waits in the pool for work.
const IDLE: Duration = Duration::from_secs(30);

/// Connects, makes the tables if they are not there, and sees to it that nothing waits for ever. The database is one shop's: that
/// of the namespace which was there first.
pub(crate) async fn connect(url: &Url, namespace: &str, config: &shop::Config) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.as_str())?.application_name("oversold").options(BOUNDS);
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.pool_timeout.min(PATIENCE))
        .idle_timeout(IDLE)
        // Ours has a bound. sqlx's has none, and a silent connection would keep its place in the pool.
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

/// Asks a connection of the pool whether it is alive, and of use: a session that began while the server was read-only stays so.
async fn takes_writes(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let query = sqlx::query_scalar("select current_setting('transaction_read_only') = 'off'");
    timeout(PING, query.fetch_one(connection)).await.unwrap_or_else(|_| Err(no_answer()))
}

/// Waits for a statement or a transaction, but not for ever.
pub(crate) async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(no_answer()))
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer from PostgreSQL"))
}

/// Whether the data of a statement are at fault: a value that does not fit its type (SQLSTATE class 22), or that breaks a
/// constraint (class 23). Every other error may be gone the next time: the server is away, full, or read-only, or two were in
/// each other's way.
pub(crate) fn is_fault_of_data(error: &sqlx::Error) -> bool {
    is_of_class(error, &["22", "23"])
}

/// Whether the database is away, or does not do now what it usually does: no fault of the data, nor of the statement (class 42).
pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(_) => !is_of_class(error, &["22", "23", "42"]),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

fn is_of_class(error: &sqlx::Error, classes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(|cause| cause.code());
    code.is_some_and(|code| classes.iter().any(|class| code.starts_with(class)))
}
