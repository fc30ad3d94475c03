//! Chapter 3: no lock. A version column shows whether another buyer was faster.
//!
//! Read [`purchase`], or `diff v2-pessimistic/src/purchase.rs v3-optimistic/src/purchase.rs`. Run with
//!
//! ```text
//! cargo run -p v3-optimistic
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/purchase
//! ```

/// The lesson: one file, one function.
pub mod purchase;
/// Retries after a conflict, and the waits between them.
mod retry;
/// Adds the version column.
mod schema;
/// Two variants: without retries, and without a version.
pub mod variants;

pub use retry::Retry;
pub use schema::open;
pub use v1_naive::shop;

use axum::{Extension, Router, middleware::from_fn};
use shop::header_login;

/// Chapter 3's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale with a version column: nobody waits for a lock, many retry")]
pub struct Config {
    /// The shop's settings.
    #[command(flatten)]
    pub shop: shop::Config,

    /// Retries after a conflict.
    #[command(flatten)]
    pub retry: Retry,

    /// Use this variant of the purchase
    #[arg(long, env = "VARIANT", value_name = "VARIANT")]
    pub variant: Option<Variant>,
}

/// A variant that replaces the taught `purchase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// A conflict is not retried: undersells
    NoRetry,
    /// The condition is part of the update, without a version: does not oversell
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
