use std::time::Duration;

use anyhow::{bail, ensure};
use sqlx::{AnyConnection, AnyPool, Connection, Executor, any::AnyPoolOptions};
use url::Url;

use super::config::{Config, redacted};

/// The database behind the pool. Statements use `$1` placeholders, `bigint` and `text`, which both databases understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// A server. Transactions are read committed unless they say otherwise.
    Postgres,
    /// A file, opened by this process. Every transaction is serializable, and one write lock covers the whole database.
    Sqlite,
}

/// Opens the pool.
pub(super) async fn connect(url: &Url, config: &Config) -> anyhow::Result<(AnyPool, Database)> {
    sqlx::any::install_default_drivers();
    let database = if url.scheme() == "sqlite" { Database::Sqlite } else { Database::Postgres };
    probe(url).await?;
    let pool = AnyPoolOptions::new()
        .max_connections(config.pool_size)
        .acquire_timeout(config.pool_timeout)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if database == Database::Sqlite {
                    // Readers do not wait for a writer. A commit survives a crash of the process, but not of the machine.
                    connection.execute("pragma journal_mode = wal; pragma synchronous = normal").await?;
                }
                Ok(())
            })
        })
        .connect(url.as_str())
        .await?;
    Ok((pool, database))
}

/// How long a database may take to answer. On a busy machine a new session can take many seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tries one connection. The pool would retry an unreachable server until its time-out.
async fn probe(url: &Url) -> anyhow::Result<()> {
    let hint = "start one with `cargo loadtest services`, or unset DATABASE_URL for embedded SQLite";
    let no_answer = || format!("no database at {}: {hint}", redacted(url));
    match tokio::time::timeout(PATIENCE, AnyConnection::connect(url.as_str())).await {
        Ok(Ok(connection)) => Ok(connection.close().await?),
        Ok(Err(error)) => bail!("{} ({error})", no_answer()),
        Err(_) => bail!("{} (no answer in {} s)", no_answer(), PATIENCE.as_secs()),
    }
}

impl Database {
    /// Runs statements that create or change tables, in one transaction, and in one process at a time.
    ///
    /// # Errors
    /// A statement fails. Then none of them has an effect.
    pub async fn make(self, pool: &AnyPool, statements: &[&'static str]) -> sqlx::Result<()> {
        let mut tx = match self {
            Database::Postgres => pool.begin().await?,
            Database::Sqlite => pool.begin_with("begin immediate").await?,
        };
        if self == Database::Postgres {
            // `if not exists` alone fails when two processes start together. The lock's number stands for this schema.
            tx.execute("select pg_advisory_xact_lock(5318008)").await?;
        }
        for &statement in statements {
            tx.execute(statement).await?;
        }
        tx.commit().await
    }

    /// Refuses a table `orders` that requires columns which this shop does not write: it belongs to another program.
    ///
    /// # Errors
    /// There is such a table, or the database fails.
    pub(super) async fn check(self, pool: &AnyPool) -> anyhow::Result<()> {
        if self == Database::Postgres {
            let query = "select count(*) from pg_attribute
                         where attrelid = to_regclass('orders') and attnum > 0 and not attisdropped and attnotnull
                             and not atthasdef and attidentity = '' and attname not in ('sale_id', 'buyer_id', 'status')";
            let foreign: i64 = sqlx::query_scalar(query).fetch_one(pool).await?;
            ensure!(
                foreign == 0,
                "the database has a table orders that is not this shop's; make one for this shop (createdb) and name it in \
                 DATABASE_URL"
            );
        }
        Ok(())
    }

    /// The table of sales. Each chapter updates the counter `sold` in its own way. The audit compares it with the orders.
    pub(super) fn sales(self) -> &'static str {
        "create table if not exists sales (
            id bigint primary key,
            name text not null,
            price_cents bigint not null,
            stock bigint not null,
            sold bigint not null,
            opens_at bigint not null, -- milliseconds since 1970, as closes_at
            closes_at bigint not null
        )"
    }

    /// The table of orders. One order is one unit. No constraint limits their number: that is the purchase's task.
    pub(super) fn orders(self) -> &'static str {
        match self {
            Database::Postgres => {
                "create table if not exists orders (
                    id bigint generated always as identity primary key,
                    sale_id bigint not null references sales (id),
                    buyer_id bigint not null,
                    status text not null default 'confirmed'
                )"
            }
            Database::Sqlite => {
                "create table if not exists orders (
                    id integer primary key, -- a bigint that SQLite assigns
                    sale_id bigint not null references sales (id),
                    buyer_id bigint not null,
                    status text not null default 'confirmed'
                )"
            }
        }
    }
}
