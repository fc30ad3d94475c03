//! The databases of the shops.

use std::{fmt, io, time::Duration};

use anyhow::bail;
use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, AnyPool, Connection, any::AnyPoolOptions};
use tokio::time::{Instant, sleep, timeout};
use url::Url;
use v1_naive::shop::config::redacted;

/// The kind of database that a shop uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// A SQLite file, embedded in the shop.
    Sqlite,
    /// A database on a PostgreSQL server.
    Postgres,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Database::Sqlite => "sqlite",
            Database::Postgres => "postgres",
        })
    }
}

/// A new, empty database.
pub struct FreshDatabase {
    /// The URL for the shop.
    pub url: Url,
    /// SQLite or PostgreSQL.
    pub kind: Database,
    pub(super) name: String,
}

impl FreshDatabase {
    /// The database's name on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A small pool for the load test, separate from the shop's.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn connect(&self) -> anyhow::Result<AnyPool> {
        connect(&self.url).await
    }
}

/// How long a database may take to answer. On a busy machine a new session can take many seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a database may take to accept connections again: it starts, or has too many.
const REFUSES: Duration = Duration::from_secs(10);

/// Opens a small pool.
pub(super) async fn connect(url: &Url) -> anyhow::Result<AnyPool> {
    let options = AnyPoolOptions::new().max_connections(2).acquire_timeout(REFUSES);
    let why = match first_session(url).await {
        Ok(()) => match options.connect(url.as_str()).await {
            Ok(pool) => return Ok(pool),
            Err(why) => why.to_string(),
        },
        Err(why) => why,
    };
    bail!("no database at {}: {why}; `cargo loadtest services` starts one", redacted(url));
}

/// Waits until the database accepts a session. A pool would wait as long for one that is not there as for one that is slow.
async fn first_session(url: &Url) -> Result<(), String> {
    let began = Instant::now();
    loop {
        match timeout(PATIENCE, AnyConnection::connect(url.as_str())).await {
            Ok(Ok(session)) => return session.close().await.map_err(|error| error.to_string()),
            Ok(Err(error)) if is_refusal(&error) && began.elapsed() < REFUSES => {
                sleep(Duration::from_millis(100)).await;
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer in {} s", PATIENCE.as_secs())),
        }
    }
}

/// Whether the database does not listen, is starting, or has too many sessions.
fn is_refusal(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| ["57P03", "53300"].contains(&&*code)),
        _ => false,
    }
}
