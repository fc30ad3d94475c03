use std::{
    ffi::OsString,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    process::exit,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Parser;
use tempfile::TempDir;
use url::Url;

use super::serve::SET_UP;

/// Settings of the shop. Each is a flag and an environment variable of the name shown in `<…>`.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, env = "LISTEN", value_name = "LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// postgres://user:password@host:port/name or sqlite:///path/file.db?mode=rwc
    /// [default: an embedded SQLite file that is deleted when the shop stops]
    #[arg(long, env = "DATABASE_URL", value_name = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,

    /// Database connections that this process may hold
    #[arg(long, env = "POOL_SIZE", value_name = "POOL_SIZE", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pool_size: u32,

    /// Seconds a request waits for a database connection before it is refused as overloaded
    #[arg(long, env = "POOL_TIMEOUT", value_name = "POOL_TIMEOUT", default_value = "20", value_parser = seconds)]
    pub pool_timeout: Duration,

    /// Seconds the body of a request may take, and again seconds for the answer
    #[arg(long, env = "REQUEST_TIMEOUT", value_name = "REQUEST_TIMEOUT", default_value = "30", value_parser = seconds)]
    pub request_timeout: Duration,

    /// Bytes a request body may have
    #[arg(long, env = "BODY_LIMIT", value_name = "BODY_LIMIT", default_value_t = 16 * 1024,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub body_limit: u32,

    /// What is logged: a level, or target=level with commas
    #[arg(long, env = "RUST_LOG", value_name = "RUST_LOG", default_value = "info,sqlx=error")]
    pub log: String,

    /// Stock of sale 1, which the shop creates when it starts with an empty database
    #[arg(long, env = "STOCK", value_name = "STOCK", default_value_t = 100)]
    pub stock: u32,

    /// Seconds from the start until sale 1 opens
    #[arg(long, env = "OPENS_IN", value_name = "OPENS_IN", default_value_t = 0)]
    pub opens_in: u32,

    /// Seconds sale 1 stays open
    #[arg(long, env = "OPEN_FOR", value_name = "OPEN_FOR", default_value_t = 3600)]
    pub open_for: u32,
}

impl Config {
    /// The database URL. Without a setting, it is a temporary file, which is removed with the returned folder.
    ///
    /// The setting is parsed here and not by clap, which would print a refused value with its password.
    pub(super) fn database_url(&self) -> anyhow::Result<(Url, Option<TempDir>)> {
        let Some(text) = &self.database_url else {
            let folder = tempfile::Builder::new().prefix("oversold-").tempdir().context("no temporary folder")?;
            return Ok((sqlite_url(&folder.path().join("shop.db"))?, Some(folder)));
        };
        let url = Url::parse(text).context("DATABASE_URL is not a URL")?;
        let known = ["postgres", "postgresql", "sqlite"].contains(&url.scheme());
        ensure!(known, "DATABASE_URL speaks {}; this shop speaks postgres and sqlite", url.scheme());
        Ok((url, None))
    }
}

/// The URL of a SQLite file, which is created if it does not exist.
///
/// # Errors
/// The path is not absolute.
pub fn sqlite_url(path: &Path) -> anyhow::Result<Url> {
    let mut url = Url::parse("sqlite:///")?;
    url.set_path(
        path.to_str().filter(|path| path.starts_with('/')).context("the path of the database is not absolute")?,
    );
    url.set_query(Some("mode=rwc"));
    Ok(url)
}

/// The URL without its password, for messages.
pub fn redacted(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("***"));
    }
    url.set_query(None);
    url.into()
}

/// Parses a duration in seconds, with fractions.
///
/// # Errors
/// It is not a number between 0.001 and 3600.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("seconds between 0.001 and 3600 are taken".into()),
    }
}

/// Parses the command line and the environment; see [`parse_from`].
pub fn parse<C: Parser>() -> C {
    parse_from(std::env::args_os())
}

/// Parses settings from `args`, whose first item is the program's name, and from the environment. A wrong value ends the program
/// with exit code [`SET_UP`] and one line that names the setting.
pub fn parse_from<C: Parser, A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> C {
    C::try_parse_from(args).unwrap_or_else(|error| {
        if !error.use_stderr() {
            error.exit(); // --help and --version
        }
        let message = error.to_string();
        // clap names the wrong value in the first paragraph, and explains the usage in the others.
        let _ = writeln!(io::stderr(), "{}", message.split("\n\n").next().unwrap_or(&message));
        exit(i32::from(SET_UP))
    })
}
