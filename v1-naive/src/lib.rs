//! Chapter 1: the flash sale that most people write first. It oversells.
//!
//! Read [`purchase`]; leave [`shop`] for later. Run with
//!
//! ```text
//! cargo run -p v1-naive
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/purchase
//! ```

/// The lesson: one file, one function.
pub mod purchase;
/// The shop around the purchase, which all chapters share.
pub mod shop;
/// The trap of this chapter: a transaction, which does not help.
pub mod variants;

use axum::{Router, middleware::from_fn};
use shop::{Shop, header_login};

/// Chapter 1's settings: those of the shop, and the variant.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The naive flash sale: it oversells")]
pub struct Config {
    /// The shop's settings.
    #[command(flatten)]
    pub shop: shop::Config,

    /// Use this variant of the purchase
    #[arg(long, env = "VARIANT", value_name = "VARIANT")]
    pub variant: Option<Variant>,
}

/// A variant that replaces the taught `purchase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// The same steps inside one read committed transaction: still oversells
    Transaction,
}

/// The shop with chapter 1's purchase.
///
/// # Errors
/// See [`Shop::open`].
pub async fn app(config: &Config) -> anyhow::Result<Router> {
    let shop = Shop::open(&config.shop, purchase::BUY).await?;
    let purchase = match config.variant {
        None => purchase::routes(),
        Some(Variant::Transaction) => variants::transaction::routes(),
    };
    Ok(shop.router(purchase).layer(from_fn(header_login)))
}
