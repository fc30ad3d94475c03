//! The kind of database server that a lab uses.

use std::str::FromStr;

use url::Url;

/// The kind of database server that a lab uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// SQLite: a file, embedded in the shop.
    Sqlite,
    /// A private PostgreSQL, started for the run.
    Postgres,
    /// The PostgreSQL server at this URL. Each run creates its own database there.
    Server(Url),
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Backend::Sqlite),
            // `DATABASE_URL` probably names a shop's own SQLite file. Runs do not touch it, they use their own files.
            url if url.starts_with("sqlite:") => Ok(Backend::Sqlite),
            "postgres" => Ok(Backend::Postgres),
            url if url.starts_with("postgres") => {
                url.parse().map(Backend::Server).map_err(|_| "that is not a postgres:// URL".into())
            }
            _ => Err("takes sqlite, postgres, or the postgres:// URL of a server".into()),
        }
    }
}
