//! The databases of the shops.

use std::{fmt, time::Duration};

use anyhow::bail;
use serde::{Deserialize, Serialize};
use sqlx::{AnyPool, any::AnyPoolOptions};
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

/// Opens a small pool.
pub(super) async fn connect(url: &Url) -> anyhow::Result<AnyPool> {
    let options = AnyPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(10));
    let Ok(pool) = options.connect(url.as_str()).await else {
        bail!("no database at {}; `cargo loadtest services` starts one", redacted(url));
    };
    Ok(pool)
}
