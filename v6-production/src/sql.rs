//! The tables of chapter 6: PostgreSQL is the record; what is not in here did not happen.

use std::{str::FromStr, time::Duration};

use sqlx::{
    Executor, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;
use url::Url;

use crate::shop;

/// The database ends a statement after so long.
const STATEMENT_TIMEOUT: &str = "10s";
/// And we wait so long for it to say so: a connection that died silently says nothing.
const PATIENCE: Duration = Duration::from_secs(15);

const SCHEMA: [&str; 8] = [
    "create table if not exists sales (
        id bigint primary key,
        name text not null,
        price_cents bigint not null,
        stock bigint not null,
        sold bigint not null check (sold between 0 and stock), -- units of orders that are confirmed or paid
        opens_at bigint not null, -- milliseconds since 1970, as all times
        closes_at bigint not null,
        epoch bigint not null default 0 -- 0: not in Redis yet
    )",
    "create table if not exists orders (
        id bigint primary key,
        sale_id bigint not null references sales (id),
        buyer_id bigint not null,
        status text not null check (status in ('confirmed', 'paid', 'expired', 'failed')),
        reason text,
        path bigint not null, -- the address it was bought at, and the request, for who asks again
        request bigint not null,
        reserved_at bigint not null, -- by Redis's clock
        confirmed_at bigint not null, -- by this one, as all times below
        pay_by bigint not null,
        paid_with text, -- the idempotency key of the payment that was charged
        given_back bool not null default false -- to Redis: the unit of an order that is expired or failed
    )",
    "create or replace function now_ms() returns bigint language sql volatile
        as $$ select (extract(epoch from clock_timestamp()) * 1000)::bigint $$",
    "create table if not exists denied (
        buyer_id bigint primary key,
        name text not null
    )",
    "create unique index if not exists one_active_order on orders (sale_id, buyer_id)
        where status in ('confirmed', 'paid')",
    "create index if not exists to_release on orders (pay_by)
        where status = 'confirmed' or (status in ('expired', 'failed') and not given_back)",
    "create table if not exists payments (
        buyer_id bigint not null,
        idempotency_key text not null,
        order_id bigint not null references orders (id),
        request text not null, -- a hash of what was asked
        started_at bigint not null,
        answer text, -- null while it is in flight
        primary key (buyer_id, idempotency_key)
    )",
    "create table if not exists order_collisions ( -- orders that failed because another buyer has their number
        order_id bigint not null references orders (id),
        buyer_id bigint not null,
        primary key (order_id, buyer_id)
    )",
];

/// Connects, makes the tables, and sees to it that no statement waits for ever.
pub(crate) async fn connect(url: &Url, config: &shop::Config) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.as_str())?
        .options([("statement_timeout", STATEMENT_TIMEOUT), ("lock_timeout", "5s")]);
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.pool_timeout.min(PATIENCE))
        .connect_with(options)
        .await?;
    let mut tx = pool.begin().await?;
    // `if not exists` alone lets two instances that start together collide. The lock's number is this schema's own.
    tx.execute("select pg_advisory_xact_lock(5318006)").await?;
    for statement in SCHEMA {
        tx.execute(statement).await?;
    }
    tx.commit().await?;
    Ok(pool)
}

/// Waits for a statement or a transaction, but not for ever.
pub(crate) async fn in_time<T>(work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| {
        Err(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer from PostgreSQL")))
    })
}

/// Whether trying the same again may work: the server is away, starting or stopping, or two were in each other's way.
pub(crate) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(cause) => {
            let code = cause.code().unwrap_or_default();
            // Connection, resources, operator, locks, serialization and deadlock.
            ["08", "53", "57", "55P03", "40001", "40P01"].iter().any(|class| code.starts_with(class))
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
