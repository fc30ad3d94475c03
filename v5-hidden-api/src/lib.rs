//! Chapter 5: chapter 4's rate limit, and behind it gates that know the buyer: a hidden purchase path that nobody can know before
//! the sale opens, a frequency cap for each buyer, and one unit per buyer.
//!
//! Read [`gate`]: it lists the gates in their order. Run with
//!
//! ```text
//! cargo run -p v5-hidden-api
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/path
//! ```

pub mod gate; // the lesson

pub use v1_naive::shop;
pub use v3_optimistic::purchase; // chapter 3's, unchanged
pub use v4_ratelimit::rate_limit; // chapter 4's, unchanged

use axum::{Extension, Router, middleware::from_fn};
use gate::{Gates, Rules, clock::Clock};
use rate_limit::{RateLimit, RateLimits};
use shop::header_login;

/// Chapter 5's settings.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The flash sale at a hidden URL: one unit per buyer, and none before the sale opens")]
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

    /// The settings of the gates.
    #[command(flatten)]
    pub rules: Rules,
}

/// The shop with chapter 3's purchase behind chapter 4's rate limit and chapter 5's gates.
///
/// # Errors
/// See [`shop::Shop::open`], [`RateLimit::new`] and [`Gates::new`].
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    app_at(config, Clock::default()).await
}

/// The same shop as [`app`], with a clock that a test can move.
///
/// # Errors
/// See [`app`].
pub async fn app_at(config: &Config, clock: Clock) -> anyhow::Result<Router> {
    let shop = v3_optimistic::open(&config.shop, gate::ASK).await?;
    let gates = Gates::new(&config.rules, &shop, clock).await?;
    let purchase = gate::routes(&RateLimit::new(&config.limits)?, &gates);
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}
