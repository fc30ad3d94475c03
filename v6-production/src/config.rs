use std::time::Duration;

use anyhow::{Context, bail, ensure};
use url::Url;
use v4_ratelimit::rate_limit::client_limit::ClientLimits;

use crate::shop::{self, config::seconds};

/// For learning. Whoever reads this can be every buyer, so it is refused for selling.
const DEMO_SECRET: &str = "everybody who reads the source of chapter 6 knows this";

/// Chapter 6's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale on Redis, a message queue and PostgreSQL")]
pub struct Config {
    /// What to do instead of running the shop
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The shop's.
    #[command(flatten)]
    pub shop: shop::Config,

    /// What a client may ask for.
    #[command(flatten)]
    pub clients: ClientLimits,

    /// redis://:password@host:port/: who gets a unit is decided there
    #[arg(long, env = "REDIS_URL", value_name = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// amqp://user:password@host:port/%2f: RabbitMQ, which carries reservations to the workers
    #[arg(long, env = "AMQP_URL", value_name = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: Option<String>,

    /// What this process does; each may run any number of times
    #[arg(long, env = "ROLE", value_name = "ROLE", value_enum, default_value_t = Role::All)]
    pub role: Role,

    /// What the names of keys and queues begin with, so that several shops can share the servers
    #[arg(long, env = "NAMESPACE", value_name = "NAMESPACE", default_value = "oversold", value_parser = namespace)]
    pub namespace: String,

    /// At least 32 bytes that nobody else knows, the same for all instances: sessions are signed with it
    /// [default, in demo mode only: one that stands in this source]
    #[arg(long, env = "SESSION_SECRET", value_name = "SESSION_SECRET", hide_env_values = true)]
    pub session_secret: Option<String>,

    /// Whether the secret may be the one that everybody knows
    #[arg(long, env = "MODE", value_name = "MODE", value_enum, default_value_t = Mode::Demo)]
    pub mode: Mode,

    /// Seconds in which an order is to be paid, before its unit is sold again
    #[arg(long, env = "PAY_WITHIN", value_name = "PAY_WITHIN", default_value = "900", value_parser = seconds)]
    pub pay_within: Duration,

    /// Seconds that the fake payment provider takes to answer
    #[arg(long, env = "PAYMENT_TAKES", value_name = "PAYMENT_TAKES", default_value = "0.05", value_parser = seconds)]
    pub payment_takes: Duration,

    /// Seconds until a request to Redis counts as unanswered; it may have been carried out
    #[arg(long, env = "REDIS_TIMEOUT", value_name = "REDIS_TIMEOUT", default_value = "2", value_parser = seconds)]
    pub redis_timeout: Duration,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Takes requests: reserve and notify
    Api,
    /// Carries reservations to SQL and unpaid units back: relay, worker and release
    Worker,
    /// Both
    All,
}

/// Whether this is for learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// For learning: a secret that everybody knows will do
    Demo,
    /// For selling: a secret of one's own is needed
    Production,
}

/// What else the program can do.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Puts a sale up in SQL and in Redis, and ends. Again, it changes nothing
    Seed(SeedArgs),
}

/// A sale to be put up.
#[derive(Debug, Clone, clap::Args)]
pub struct SeedArgs {
    /// Its number
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=crate::order_id::MOST_SALES))]
    pub sale: i64,

    /// What is sold
    #[arg(long, default_value = "Mechanical keyboard, last year's")]
    pub name: String,

    /// What one unit costs, in cents
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(0..))]
    pub price_cents: i64,

    /// Units
    #[arg(long, default_value_t = 100)]
    pub units: u32,

    /// Seconds from now until it opens
    #[arg(long, default_value_t = 0)]
    pub from_now: u32,

    /// Seconds it stays open
    #[arg(long, default_value_t = 3600)]
    pub lasts: u32,
}

/// Where the three servers are.
pub(crate) struct Urls {
    pub(crate) postgres: Url,
    pub(crate) redis: Url,
    pub(crate) amqp: Url,
}

impl Config {
    /// Where the servers are; if that was not said, what is needed and the command that gives it.
    pub(crate) fn urls(&self) -> anyhow::Result<Urls> {
        let given = [
            ("DATABASE_URL", "PostgreSQL, the record of sales and orders", &self.shop.database_url),
            ("REDIS_URL", "Redis, which decides who gets a unit", &self.redis_url),
            ("AMQP_URL", "RabbitMQ, which carries reservations to the workers", &self.amqp_url),
        ];
        if given.iter().any(|(_, _, url)| url.is_none()) {
            let list = given.map(|(key, what, url)| {
                format!("  {key:13} {:8} {what}\n", if url.is_some() { "set" } else { "missing" })
            });
            bail!(
                "chapter 6 runs on three servers:\n\n{}\nThis one command starts private ones, and the shop on them:\n\n  \
                 cargo loadtest serve v6\n\n(`make services` installs what is missing; `cargo loadtest services` starts the \
                 servers alone and prints their URLs; compose.yaml has them for docker.)",
                list.concat()
            );
        }
        let [postgres, redis, amqp] = given.map(|(key, _, url)| {
            Url::parse(url.as_deref().unwrap_or_default()).with_context(|| format!("{key} is not a URL"))
        });
        let urls = Urls { postgres: postgres?, redis: redis?, amqp: amqp? };
        ensure!(
            urls.postgres.scheme().starts_with("postgres"),
            "DATABASE_URL speaks {}; chapter 6 needs PostgreSQL",
            urls.postgres.scheme()
        );
        ensure!(urls.redis.scheme() == "redis", "REDIS_URL begins with redis://");
        ensure!(urls.amqp.scheme() == "amqp", "AMQP_URL begins with amqp://");
        Ok(urls)
    }

    /// What sessions are signed with.
    pub(crate) fn session_secret(&self) -> anyhow::Result<&str> {
        let secret = self.session_secret.as_deref().unwrap_or(DEMO_SECRET);
        ensure!(secret.len() >= 32, "SESSION_SECRET has {} bytes; it needs 32 or more", secret.len());
        if secret == DEMO_SECRET {
            ensure!(self.mode == Mode::Demo, "MODE production needs a SESSION_SECRET of its own");
            tracing::warn!("demo mode: everybody can know the secret that sessions are signed with");
        }
        Ok(secret)
    }
}

impl Role {
    pub(crate) fn takes_requests(self) -> bool {
        self != Role::Worker
    }

    pub(crate) fn carries(self) -> bool {
        self != Role::Api
    }
}

fn namespace(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match (1..=60).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.into()),
        false => Err("1 to 60 letters, digits, - and _ are taken".into()),
    }
}
