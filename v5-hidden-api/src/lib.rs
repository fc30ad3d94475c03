//! Chapter 5: chapter 4's limit, and behind it gates that know the buyer: an address to buy at that nobody can know
//! before the sale opens, so many attempts for each buyer, one unit for each.
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
#[command(
    version,
    about = "The flash sale at a hidden address: one unit for each buyer, and none before the sale opens"
)]
pub struct Config {
    /// The shop's.
    #[command(flatten)]
    pub shop: shop::Config,

    /// What a buyer does after a conflict.
    #[command(flatten)]
    pub retry: v3_optimistic::Retry,

    /// What is let through.
    #[command(flatten)]
    pub limits: RateLimits,

    /// What the gates ask of a buyer.
    #[command(flatten)]
    pub rules: Rules,
}

/// The shop with chapter 3's purchase behind chapter 4's limit and chapter 5's gates.
///
/// # Errors
/// See [`shop::Shop::open`], [`RateLimit::new`] and [`Gates::new`].
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    app_at(config, Clock::default()).await
}

/// The same by a clock that can be moved.
///
/// # Errors
/// As [`app`].
pub async fn app_at(config: &Config, clock: Clock) -> anyhow::Result<Router> {
    let shop = v3_optimistic::open(&config.shop, gate::ASK).await?;
    let gates = Gates::new(&config.rules, &shop, clock).await?;
    let purchase = gate::routes(&RateLimit::new(&config.limits)?, &gates);
    Ok(shop.router(purchase).layer(Extension(config.retry)).layer(from_fn(header_login)))
}
