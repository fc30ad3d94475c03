use std::time::Duration;

use anyhow::{Context, bail, ensure};
use url::Url;
use v4_ratelimit::rate_limit::client_limit::ClientLimits;

use crate::{
    gate::{limits::SessionLimits, signer::Signer},
    shop::{self, config::seconds},
};

/// For learning. Whoever reads this can be every buyer, so it is refused for selling.
const DEMO_SECRET: &str = "everybody who reads the source of chapter 6 knows this";

/// Chapter 6's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale on Redis, a message queue and PostgreSQL")]
// Sixteen times chapter 4's places, 8 MiB: a hundred thousand clients then hardly ever share one.
#[command(mut_arg("client_buckets", |buckets| buckets.default_value("1048576")))]
// A client is an address here that has not logged in, and an office of fifty needs a hundred requests for that: twice as many.
#[command(mut_arg("client_rate", |rate| rate.default_value("50").help("Requests a second before the login that one IP address may make")))]
#[command(mut_arg("client_burst", |burst| burst.default_value("200").help("Tokens in the bucket of one IP address")))]
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

    /// What a buyer may ask for.
    #[command(flatten)]
    pub sessions: SessionLimits,

    /// redis://:password@host:port/: who gets a unit is decided there; rediss:// with TLS. The certificate is judged by the system's
    /// list of authorities, or that in SSL_CERT_FILE; for PostgreSQL, DATABASE_URL says ?sslmode=verify-full
    #[arg(long, env = "REDIS_URL", value_name = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// amqp://user:password@host:port/%2f: RabbitMQ, which carries reservations to the workers; amqps:// with TLS
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

    /// Secrets that signed before it, or will after it: still believed, with commas. To change a secret: name the new one here on
    /// all instances, then let them change places, and remove the old one after 12 hours
    #[arg(long, env = "OTHER_SECRETS", value_name = "OTHER_SECRETS", value_delimiter = ',', hide_env_values = true)]
    pub other_secrets: Vec<String>,

    /// Other sites whose pages may use this shop, as `https://shop.example`, with commas; its own always may [default: none]
    #[arg(long, env = "ORIGINS", value_name = "ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub origins: Vec<String>,

    /// What is asked of an attempt.
    #[command(flatten)]
    pub rules: Rules,

    /// Seconds after which a reservation that no worker has turned into an order is turned into one straight from Redis; they count
    /// from when its path was issued
    #[arg(long, env = "PLACE_AFTER", value_name = "PLACE_AFTER", default_value = "10", value_parser = seconds)]
    pub place_after: Duration,

    /// Seconds between two comparisons of Redis with SQL
    #[arg(long, env = "RECONCILE_EVERY", value_name = "RECONCILE_EVERY", default_value = "5", value_parser = seconds)]
    pub reconcile_every: Duration,

    /// Seconds in which an order is to be paid, before its unit is sold again
    #[arg(long, env = "PAY_WITHIN", value_name = "PAY_WITHIN", default_value = "900", value_parser = seconds)]
    pub pay_within: Duration,

    /// http://name:secret@host:port/: the payment provider. Without one, nobody can pay
    #[arg(long, env = "PROVIDER_URL", value_name = "PROVIDER_URL", hide_env_values = true)]
    pub provider_url: Option<Url>,

    /// Where the provider can reach this shop, to say that there is news [default: the address that it listens at]
    #[arg(long, env = "CALLBACK_URL", value_name = "CALLBACK_URL")]
    pub callback_url: Option<Url>,

    /// Seconds until a request to Redis counts as unanswered; it may have been carried out
    #[arg(long, env = "REDIS_TIMEOUT", value_name = "REDIS_TIMEOUT", default_value = "2", value_parser = seconds)]
    pub redis_timeout: Duration,
}

/// What is asked of an attempt beside a unit.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Rules {
    /// Attempts that one buyer may make in a while, at whichever instance
    #[arg(long, env = "FREQUENCY_LIMIT", value_name = "FREQUENCY_LIMIT", default_value_t = 6,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frequency_limit: u32,

    /// Seconds after which all buyers' counts start again
    #[arg(long, env = "FREQUENCY_WINDOW", value_name = "FREQUENCY_WINDOW", default_value = "10",
          value_parser = seconds)]
    pub frequency_window: Duration,

    /// Buyers of one sale who are counted at the same time, about 70 bytes of Redis each; more are told to come back
    #[arg(long, env = "FREQUENCY_BUYERS", value_name = "FREQUENCY_BUYERS", default_value_t = 200_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub frequency_buyers: u32,

    /// Whether a sum is asked between the click and the address to buy at: it spreads the crowd over some seconds
    #[arg(long, env = "PUZZLE", value_name = "PUZZLE", value_enum, default_value_t = Puzzle::On)]
    pub puzzle: Puzzle,

    /// Seconds for which an address to buy at is good, and the puzzle before it
    #[arg(long, env = "PATH_TTL", value_name = "PATH_TTL", default_value = "60",
          value_parser = seconds)]
    pub path_ttl: Duration,

    /// Attempts that may wait for Redis in this process; from half of them on, some are told to come back
    #[arg(long, env = "WAITING", value_name = "WAITING", default_value_t = 20_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub waiting: u32,
}

/// Whether there is an entry puzzle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Puzzle {
    /// A sum for every buyer
    On,
    /// Straight to the address
    Off,
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
    /// Makes Redis anew from SQL, for one sale or for all: nothing is sold until what is under way has arrived. An instance that
    /// carries does so by itself when Redis has lost a sale
    Rebuild(Which),
    /// Compares Redis, outbox, queue and SQL, says where they differ, and places reservations that were lost on the way. An
    /// instance that carries does so by itself every few seconds
    Reconcile(Which),
    /// Puts a buyer on the deny list, or takes one off
    Deny(DenyArgs),
    /// Gives back what was paid for an order, and sells its unit again
    Refund(RefundArgs),
}

/// What is given back.
#[derive(Debug, Clone, clap::Args)]
pub struct RefundArgs {
    /// The order's number
    pub order: i64,
}

/// Which sales.
#[derive(Debug, Clone, clap::Args)]
pub struct Which {
    /// A sale's number [default: all that are not over for a day]
    #[arg(long)]
    pub sale: Option<i64>,
}

/// Who is denied.
#[derive(Debug, Clone, clap::Args)]
pub struct DenyArgs {
    /// The name that the buyer logs in with
    pub name: String,

    /// Take the buyer off the list
    #[arg(long)]
    pub lift: bool,
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
    #[arg(long, default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..))]
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
        ensure!(["redis", "rediss"].contains(&urls.redis.scheme()), "REDIS_URL begins with redis:// or rediss://");
        ensure!(["amqp", "amqps"].contains(&urls.amqp.scheme()), "AMQP_URL begins with amqp:// or amqps://");
        Ok(urls)
    }

    /// What sessions and paths are signed with.
    pub(crate) fn signer(&self) -> anyhow::Result<Signer> {
        let secret = self.session_secret.as_deref().unwrap_or(DEMO_SECRET);
        ensure!(secret.len() >= 32, "SESSION_SECRET has {} bytes; it needs 32 or more", secret.len());
        ensure!(!secret.contains(','), "SESSION_SECRET has a comma, and could not be named among OTHER_SECRETS");
        ensure!(self.other_secrets.iter().all(|secret| secret.len() >= 32), "OTHER_SECRETS need 32 bytes or more each");
        if secret == DEMO_SECRET || self.other_secrets.iter().any(|secret| secret == DEMO_SECRET) {
            ensure!(self.mode == Mode::Demo, "MODE production needs a SESSION_SECRET of its own");
            tracing::warn!("demo mode: everybody can know the secret that sessions and paths are signed with");
        }
        Signer::new(secret, &self.other_secrets)
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

fn origin(text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|_| "an origin is like https://shop.example".to_owned())?;
    match url.origin().ascii_serialization() {
        origin if origin == text && url.has_host() => Ok(origin),
        origin => Err(format!("an origin has no path and no /: {origin}")),
    }
}

fn namespace(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match (1..=60).contains(&text.len()) && text.chars().all(plain) {
        true => Ok(text.into()),
        false => Err("1 to 60 letters, digits, - and _ are taken".into()),
    }
}
