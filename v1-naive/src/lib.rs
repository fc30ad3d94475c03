//! Chapter 1: the flash sale everybody writes first. It oversells.
//!
//! Read [`purchase`]; leave [`shop`] for later. Run with
//!
//! ```text
//! cargo run -p v1-naive
//! curl -X POST -H 'x-buyer-id: 7' http://127.0.0.1:3000/sales/1/purchase
//! ```

/// The lesson: one file, one function.
pub mod purchase;
/// What is around it, shared by all chapters.
pub mod shop;
/// The trap: a remedy that is none.
pub mod variants;

use axum::{Router, middleware::from_fn};
use shop::{Shop, header_login};

/// Chapter 1's settings: the shop's, and the choice of a variant.
#[derive(Debug, Clone, clap::Parser)]
#[command(version, about = "The naive flash sale: it oversells")]
pub struct Config {
    /// The shop's.
    #[command(flatten)]
    pub shop: shop::Config,

    /// Sell the way of a variant instead
    #[arg(long, env = "VARIANT", value_name = "VARIANT")]
    pub variant: Option<Variant>,
}

/// Another `purchase` in the place of the taught one.
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
