//! Chapter 2: a lock on the sale's row lets one buyer in at a time.
//!
//! Read [`purchase`], or `diff v1-naive/src/purchase.rs v2-pessimistic/src/purchase.rs`. Run with
//!
//! ```text
//! cargo run -p v2-pessimistic
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/purchase
//! ```

/// The lesson: one file, one function.
pub mod purchase;
/// The traps of this chapter: three other ways to lock.
pub mod variants;

pub use v1_naive::shop;

use anyhow::bail;
use axum::{Router, middleware::from_fn};
use shop::{Database, Shop, header_login};

/// Chapter 2's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale with a row lock: it does not oversell, and buyers wait for each other")]
pub struct Config {
    /// The shop's settings.
    #[command(flatten)]
    pub shop: shop::Config,

    /// Milliseconds a purchase waits for the row's lock before it is refused as `conflict` (PostgreSQL)
    #[arg(long, env = "LOCK_TIMEOUT_MS", value_name = "LOCK_TIMEOUT_MS", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub lock_timeout_ms: u32,

    /// Use this variant of the purchase
    #[arg(long, env = "VARIANT", value_name = "VARIANT")]
    pub variant: Option<Variant>,
}

/// A variant that replaces the taught `purchase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// A mutex in this process, like Java's `synchronized`: oversells with two instances
    ProcessLock,
    /// Insert the order first, lock later: deadlocks (PostgreSQL)
    InsertFirst,
    /// No lock, but serializable isolation and a retry (PostgreSQL)
    Serializable,
}

/// The shop with chapter 2's purchase.
///
/// # Errors
/// See [`Shop::open`]. On SQLite, the variants `insert-first` and `serializable` are refused.
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    let shop = Shop::open(&with_lock_timeout(config), purchase::BUY).await?;
    let purchase = match config.variant {
        Some(Variant::InsertFirst | Variant::Serializable) if shop.database == Database::Sqlite => {
            bail!("this variant needs PostgreSQL: SQLite has neither row locks nor isolation levels")
        }
        None => purchase::routes(),
        Some(Variant::ProcessLock) => variants::process_lock::routes(),
        Some(Variant::InsertFirst) => variants::insert_first::routes(),
        Some(Variant::Serializable) => variants::serializable::routes(),
    };
    Ok(shop.router(purchase).layer(from_fn(header_login)))
}

/// Sets `lock_timeout` on every PostgreSQL connection. On SQLite the limit is its busy timeout, 5 s.
fn with_lock_timeout(config: &Config) -> shop::Config {
    let mut shop = config.shop.clone();
    if let Some(url) = shop.database_url.as_mut().filter(|url| url.starts_with("postgres")) {
        let joint = if url.contains('?') { '&' } else { '?' };
        *url += &format!("{joint}options[lock_timeout]={}", config.lock_timeout_ms);
    }
    shop
}
