//! Chapter 3: no lock; a version column tells whether anybody was faster.
//!
//! Read [`purchase`], or `diff v2-pessimistic/src/purchase.rs v3-optimistic/src/purchase.rs`. Run with
//!
//! ```text
//! cargo run -p v3-optimistic
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/purchase
//! ```

/// The lesson: one file, one function.
pub mod purchase;
/// Its neighbours: without the retry, without the version.
pub mod variants;

pub use v1_naive::shop;

use axum::{Extension, Router, middleware::from_fn};
use shop::{Shop, header_login};

/// Chapter 3's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale with a version column: nobody waits, many try again")]
pub struct Config {
    /// The shop's.
    #[command(flatten)]
    pub shop: shop::Config,

    /// What a buyer does after a conflict.
    #[command(flatten)]
    pub retry: Retry,

    /// Sell the way of a variant instead
    #[arg(long, env = "VARIANT", value_name = "VARIANT")]
    pub variant: Option<Variant>,
}

/// What a buyer does after a conflict: wait a random time up to `base`, then up to twice that, and so on up to `cap`.
///
/// The waits of the defaults add up to 13 s at the very most, below the shop's `REQUEST_TIMEOUT`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Retry {
    /// Times a buyer tries again before the answer is `conflict`
    #[arg(long, env = "RETRIES", value_name = "RETRIES", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=100))]
    pub retries: u32,

    /// Milliseconds the first wait may take; it doubles with each
    #[arg(long, env = "BACKOFF_BASE_MS", value_name = "BACKOFF_BASE_MS", default_value_t = 20,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_base_ms: u64,

    /// Milliseconds a wait may grow to
    #[arg(long, env = "BACKOFF_CAP_MS", value_name = "BACKOFF_CAP_MS", default_value_t = 4000,
          value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub backoff_cap_ms: u64,
}

/// Another `purchase` in the place of the taught one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// The first conflict is the answer: undersells
    NoRetry,
    /// The condition in the update itself, no version: holds
    Conditional,
}

/// The shop with chapter 3's purchase.
///
/// # Errors
/// See [`Shop::open`].
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    let shop = open(&config.shop, purchase::BUY).await?;
    let purchase = match config.variant {
        None => purchase::routes(),
        Some(Variant::NoRetry) => variants::no_retry::routes(),
        Some(Variant::Conditional) => variants::conditional::routes(),
    };
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}

/// A shop whose sales have a version, for this chapter and for those that build on its purchase.
///
/// # Errors
/// See [`Shop::open`].
pub async fn open(config: &shop::Config, buy: &'static str) -> anyhow::Result<Shop> {
    let shop = Shop::open(config, buy).await?;
    add_version(&shop).await?;
    Ok(shop)
}

/// Adds the column that the whole chapter is about, unless this database has it.
async fn add_version(shop: &Shop) -> sqlx::Result<()> {
    let probe = || sqlx::query("select version from sales").fetch_optional(&shop.pool);
    if probe().await.is_ok() {
        return Ok(());
    }
    let statement = "alter table sales add column version bigint not null default 0";
    match shop.database.make(&shop.pool, &[statement]).await {
        // Another instance that starts at the same time was faster.
        Err(_) if probe().await.is_ok() => Ok(()),
        done => done,
    }
}
