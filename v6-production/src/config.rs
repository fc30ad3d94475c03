/// The operator's commands and their arguments.
mod command;

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use url::Url;
use v4_ratelimit::rate_limit::client_limit::ClientLimits;

pub use self::command::{Command, DenyArgs, RefundArgs, SeedArgs, Which};
use crate::{
    gate::{limits::SessionLimits, signer::Signer},
    shop::{self, config::seconds},
};

/// The secret of the demo mode. Everybody who reads it can act as every buyer, so production mode refuses it.
const DEMO_SECRET: &str = "everybody who reads the source of chapter 6 knows this";

/// Chapter 6's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale on Redis, a message queue and PostgreSQL")]
// Sixteen times chapter 4's buckets, 8 MiB: then even 100,000 clients hardly ever share one.
#[command(mut_arg("client_buckets", |buckets| buckets.default_value("1048576")))]
// Here a client is an IP address up to the login. An office of 50 buyers needs 100 requests to log in; the burst allows 200.
#[command(mut_arg("client_rate", |rate| rate.default_value("50").help("Requests a second of one IP address, up to the login")))]
#[command(mut_arg("client_burst", |burst| burst.default_value("200").help("Tokens in the bucket of one IP address")))]
pub struct Config {
    /// A command to run instead of the shop
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The shop's settings.
    #[command(flatten)]
    pub shop: shop::Config,

    /// The rate limit of an IP address.
    #[command(flatten)]
    pub clients: ClientLimits,

    /// The rate limit of a session.
    #[command(flatten)]
    pub sessions: SessionLimits,

    /// redis://:password@host:port/: Redis, which decides who gets a unit; rediss:// with TLS. Several URLs, separated by commas,
    /// are nodes of a Redis Cluster; a comma in a password is %2C. Certificates are checked with the system's list of authorities, or the one in SSL_CERT_FILE;
    /// for PostgreSQL, add ?sslmode=verify-full to DATABASE_URL
    #[arg(long, env = "REDIS_URL", value_name = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,

    /// amqp://user:password@host:port/%2f: RabbitMQ, which carries reservations to the workers; amqps:// with TLS. Several nodes of
    /// one cluster are separated by commas (a comma in a password is %2C): the shop uses one of them, and another one when that one
    /// does not answer
    #[arg(long, env = "AMQP_URL", value_name = "AMQP_URL", hide_env_values = true)]
    pub amqp_url: Option<String>,

    /// What this process does; any number of processes may have the same role
    #[arg(long, env = "ROLE", value_name = "ROLE", value_enum, default_value_t = Role::All)]
    pub role: Role,

    /// Prefix of all keys and queues, so that several shops can share the servers
    #[arg(long, env = "NAMESPACE", value_name = "NAMESPACE", default_value = "oversold", value_parser = namespace)]
    pub namespace: String,

    /// Secret of at least 32 bytes that signs sessions, the same for all instances
    /// [default, in demo mode only: one from this source code]
    #[arg(long, env = "SESSION_SECRET", value_name = "SESSION_SECRET", hide_env_values = true)]
    pub session_secret: Option<String>,

    /// Whether the secret from the source code is allowed
    #[arg(long, env = "MODE", value_name = "MODE", value_enum, default_value_t = Mode::Demo)]
    pub mode: Mode,

    /// Other secrets whose signatures are accepted, separated by commas. To change the secret: add the new one here on all
    /// instances, then swap the two on all instances, and remove the old one after 12 hours
    #[arg(long, env = "OTHER_SECRETS", value_name = "OTHER_SECRETS", value_delimiter = ',', hide_env_values = true)]
    pub other_secrets: Vec<String>,

    /// Other origins whose pages may use this shop, as `https://shop.example`, separated by commas; the shop's own page always may
    /// [default: none]
    #[arg(long, env = "ORIGINS", value_name = "ORIGINS", value_delimiter = ',', value_parser = origin)]
    pub origins: Vec<String>,

    /// The rules of a purchase.
    #[command(flatten)]
    pub rules: Rules,

    /// Seconds after which a reservation that no worker has turned into an order is placed directly from Redis, counted from when
    /// its path was issued
    #[arg(long, env = "PLACE_AFTER", value_name = "PLACE_AFTER", default_value = "10", value_parser = seconds)]
    pub place_after: Duration,

    /// Seconds between two comparisons of Redis with SQL
    #[arg(long, env = "RECONCILE_EVERY", value_name = "RECONCILE_EVERY", default_value = "5", value_parser = seconds)]
    pub reconcile_every: Duration,

    /// Seconds a buyer has to pay for an order, before its unit is sold again
    #[arg(long, env = "PAY_WITHIN", value_name = "PAY_WITHIN", default_value = "900", value_parser = seconds)]
    pub pay_within: Duration,

    /// http://name:secret@host:port/: the payment provider. Without one, orders cannot be paid
    #[arg(long, env = "PROVIDER_URL", value_name = "PROVIDER_URL", hide_env_values = true)]
    pub provider_url: Option<Url>,

    /// URL at which the provider can reach this shop to report a change [default: the address it listens on]
    #[arg(long, env = "CALLBACK_URL", value_name = "CALLBACK_URL")]
    pub callback_url: Option<Url>,

    /// Seconds until a command to Redis counts as unanswered; it may have been executed
    #[arg(long, env = "REDIS_TIMEOUT", value_name = "REDIS_TIMEOUT", default_value = "2", value_parser = seconds)]
    pub redis_timeout: Duration,

    /// Replicas of Redis that must have a reservation before its buyer is told `queued`. Fewer in half of the Redis timeout are
    /// answered as `timed-out`: the same request may be sent again
    #[arg(long, env = "REDIS_REPLICAS", value_name = "REDIS_REPLICAS", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(..=16))]
    pub redis_replicas: u32,
}

/// The rules of a purchase.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Rules {
    /// Attempts of one buyer in a frequency window, at all instances together
    #[arg(long, env = "FREQUENCY_LIMIT", value_name = "FREQUENCY_LIMIT", default_value_t = 6,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frequency_limit: u32,

    /// Length of the frequency window in seconds; it is the same window for all buyers
    #[arg(long, env = "FREQUENCY_WINDOW", value_name = "FREQUENCY_WINDOW", default_value = "10",
          value_parser = seconds)]
    pub frequency_window: Duration,

    /// Buyers of one sale that Redis counts in a window, about 70 bytes each; more are refused as overloaded
    #[arg(long, env = "FREQUENCY_BUYERS", value_name = "FREQUENCY_BUYERS", default_value_t = 200_000,
          value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub frequency_buyers: u32,

    /// Whether a buyer has to solve a sum before getting the purchase path, which spreads a crowd over some seconds
    #[arg(long, env = "PUZZLE", value_name = "PUZZLE", value_enum, default_value_t = Puzzle::On)]
    pub puzzle: Puzzle,

    /// Seconds for which a purchase path is valid, and the puzzle before it
    #[arg(long, env = "PATH_TTL", value_name = "PATH_TTL", default_value = "60",
          value_parser = seconds)]
    pub path_ttl: Duration,

    /// Attempts that may wait for Redis in this process; above half of it, a growing share is refused
    #[arg(long, env = "WAITING", value_name = "WAITING", default_value_t = 20_000,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub waiting: u32,
}

/// Whether buyers get an entry puzzle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Puzzle {
    /// A sum for every buyer
    On,
    /// No puzzle
    Off,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Takes requests: reserve and notify
    Api,
    /// Moves reservations to SQL and releases unpaid units: relay, worker, release and upkeep
    Worker,
    /// Both
    All,
}

/// Whether the shop is for learning or for real sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// For learning: the secret from the source code is allowed
    Demo,
    /// For real sales: a secret of your own is required
    Production,
}

/// The URLs of the three servers.
pub(crate) struct Urls {
    pub(crate) postgres: Url,
    /// One server, or nodes of a cluster.
    pub(crate) redis: Vec<Url>,
    /// The same of RabbitMQ.
    pub(crate) amqp: Vec<Url>,
}

impl Config {
    /// The URLs of the servers.
    ///
    /// # Errors
    /// A URL is missing or wrong. The error lists what is needed, and the command that starts private servers.
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
        let [postgres, redis, amqp] = given.map(|(key, _, url)| (key, url.as_deref().unwrap_or_default()));
        let parse = |key: &str, url: &str| Url::parse(url.trim()).with_context(|| format!("{key} is not a URL"));
        let nodes =
            |(key, urls): (&str, &str)| urls.split(',').map(|url| parse(key, url)).collect::<anyhow::Result<_>>();
        let urls = Urls { postgres: parse(postgres.0, postgres.1)?, redis: nodes(redis)?, amqp: nodes(amqp)? };
        ensure!(
            urls.postgres.scheme().starts_with("postgres"),
            "DATABASE_URL speaks {}; chapter 6 needs PostgreSQL",
            urls.postgres.scheme()
        );
        let is_redis = |url: &Url| ["redis", "rediss"].contains(&url.scheme());
        ensure!(urls.redis.iter().all(is_redis), "REDIS_URL, and each node in it, begins with redis:// or rediss://");
        let is_amqp = |node: &Url| ["amqp", "amqps"].contains(&node.scheme());
        ensure!(urls.amqp.iter().all(is_amqp), "AMQP_URL, and each node in it, begins with amqp:// or amqps://");
        Ok(urls)
    }

    /// The signer of sessions and paths.
    ///
    /// # Errors
    /// A secret is too short, contains a comma, or is the public one in production mode.
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
