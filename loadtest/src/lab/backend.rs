//! Where a lab's databases are.

use std::str::FromStr;

use url::Url;

/// Where a lab's databases are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// A file, embedded in the shop.
    Sqlite,
    /// A private server, started for the run.
    Postgres,
    /// Somebody's server; each run has a database of its own there.
    Server(Url),
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sqlite" => Ok(Backend::Sqlite),
            // Set for a shop, most likely. Runs have files of their own and leave that one alone.
            url if url.starts_with("sqlite:") => Ok(Backend::Sqlite),
            "postgres" => Ok(Backend::Postgres),
            url if url.starts_with("postgres") => {
                url.parse().map(Backend::Server).map_err(|_| "that is not a postgres:// URL".into())
            }
            _ => Err("takes sqlite, postgres, or the postgres:// URL of a server".into()),
        }
    }
}
