use std::{str::FromStr, time::Duration};

use sqlx::{
    PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;
use url::Url;

use super::{PATIENCE, no_answer, schema};
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
