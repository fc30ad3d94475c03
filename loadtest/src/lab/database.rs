use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the shops keep their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// In a file, embedded in the shop.
    Sqlite,
    /// On a PostgreSQL server.
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
