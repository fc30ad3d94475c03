//! Chapter 4: chapter 3's purchase behind a rate limit, for all clients together and for each client.
//!
//! Read [`rate_limit`]. Run with
//!
//! ```text
//! cargo run -p v4-ratelimit
//! for n in $(seq 20); do curl -si -X POST -H "x-buyer-id: $n" http://127.0.0.1:3000/sales/1/purchase | head -1; done
//! ```

/// The lesson: the rate limit.
pub mod rate_limit;

pub use v1_naive::shop;
pub use v3_optimistic::purchase; // chapter 3's, unchanged

use axum::{Extension, Router, middleware::from_fn};
use rate_limit::{RateLimit, RateLimits};
use shop::header_login;

/// Chapter 4's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale behind a rate limit: floods do not reach the database")]
pub struct Config {
    /// The shop's settings.
    #[command(flatten)]
    pub shop: shop::Config,

    /// Retries after a conflict.
    #[command(flatten)]
    pub retry: v3_optimistic::Retry,

    /// The rate limits.
    #[command(flatten)]
    pub limits: RateLimits,
}

/// The shop with chapter 3's purchase behind chapter 4's rate limit.
///
/// # Errors
/// See [`shop::Shop::open`] and [`RateLimit::new`].
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    let shop = v3_optimistic::open(&config.shop, purchase::BUY).await?;
    let purchase = RateLimit::new(&config.limits)?.guard(purchase::routes());
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}
