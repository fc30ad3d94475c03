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
/// How often a buyer tries again, and when.
mod retry;
/// The column that the chapter is about.
mod schema;
/// Its neighbours: without the retry, without the version.
pub mod variants;

pub use retry::Retry;
pub use schema::open;
pub use v1_naive::shop;

use axum::{Extension, Router, middleware::from_fn};
use shop::header_login;

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
/// See [`shop::Shop::open`].
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    let shop = open(&config.shop, purchase::BUY).await?;
    let purchase = match config.variant {
        None => purchase::routes(),
        Some(Variant::NoRetry) => variants::no_retry::routes(),
        Some(Variant::Conditional) => variants::conditional::routes(),
    };
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}
