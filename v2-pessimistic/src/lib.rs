//! Chapter 2: one buyer at a time, by a lock on the row of the sale.
//!
//! Read [`purchase`], or `diff v1-naive/src/purchase.rs v2-pessimistic/src/purchase.rs`. Run with
//!
//! ```text
//! cargo run -p v2-pessimistic
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/purchase
//! ```

/// The lesson: one file, one function.
pub mod purchase;
/// The traps: three other places to put a lock.
pub mod variants;

pub use v1_naive::shop;

use anyhow::bail;
use axum::{Router, middleware::from_fn};
use shop::{Database, Shop, header_login};

/// Chapter 2's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale behind a row lock: it holds, and everybody waits")]
pub struct Config {
    /// The shop's.
    #[command(flatten)]
    pub shop: shop::Config,

    /// Milliseconds a buyer waits for the row before the answer is `conflict` (PostgreSQL)
    #[arg(long, env = "LOCK_TIMEOUT_MS", value_name = "LOCK_TIMEOUT_MS", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub lock_timeout_ms: u32,

    /// Sell the way of a variant instead
    #[arg(long, env = "VARIANT", value_name = "VARIANT")]
    pub variant: Option<Variant>,
}

/// Another `purchase` in the place of the taught one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// A mutex in this process, as Java's `synchronized`: oversells with two instances
    ProcessLock,
    /// Insert the order first, lock later: deadlocks (PostgreSQL)
    InsertFirst,
    /// No lock, but serializable isolation and a retry (PostgreSQL)
    Serializable,
}

/// The shop with chapter 2's purchase.
///
/// # Errors
/// See [`Shop::open`]; and a variant that SQLite cannot play is refused.
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

/// Has every PostgreSQL connection begin with the time-out. SQLite's wait is its busy timeout, 5 s.
fn with_lock_timeout(config: &Config) -> shop::Config {
    let mut shop = config.shop.clone();
    if let Some(url) = shop.database_url.as_mut().filter(|url| url.starts_with("postgres")) {
        let joint = if url.contains('?') { '&' } else { '?' };
        *url += &format!("{joint}options[lock_timeout]={}", config.lock_timeout_ms);
    }
    shop
}
