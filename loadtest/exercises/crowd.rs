//! A sale in an embedded database, for the checks. There is nothing to change here.

#![allow(dead_code, reason = "each check uses its own part")]

use clap::Parser;
use tempfile::TempDir;
use v1_naive::shop::{self, Shop, config::sqlite_url};

/// The id of the sale.
pub const SALE: i64 = 1;

/// A SQLite file. It is deleted when this is dropped.
pub struct Database {
    _folder: TempDir,
    /// The file's URL, which a second instance opens, too.
    pub url: String,
}

/// What the database holds.
pub struct Rows {
    /// The number of orders.
    pub orders: i64,
    /// The sale's own counter.
    pub sold: i64,
}

impl Database {
    /// A new one.
    pub fn new() -> Result<Database, String> {
        let folder = tempfile::tempdir().map_err(text)?;
        let url = sqlite_url(&folder.path().join("shop.db")).map_err(text)?.to_string();
        Ok(Database { _folder: folder, url })
    }
}

/// The settings of an instance on this database, whose sale has this stock.
pub fn config(url: &str, stock: i64) -> Result<shop::Config, String> {
    let args = ["shop", "--database-url", url, "--stock", &stock.to_string(), "--log", "off"];
    v1_naive::Config::try_parse_from(args).map(|config| config.shop).map_err(text)
}

/// An instance of chapter 1's shop.
pub async fn instance(url: &str, stock: i64) -> Result<Shop, String> {
    Shop::open(&config(url, stock)?, "/sales/{sale_id}/purchase").await.map_err(text)
}

/// Reads what the database holds.
pub async fn rows(shop: &Shop) -> Result<Rows, String> {
    let orders = sqlx::query_scalar("select count(*) from orders").fetch_one(&shop.pool).await.map_err(text)?;
    let sold = sqlx::query_scalar("select sold from sales where id = 1").fetch_one(&shop.pool).await.map_err(text)?;
    Ok(Rows { orders, sold })
}

/// Works until done, on all processors.
pub fn block_on(work: impl Future<Output = Result<String, String>>) -> Result<String, String> {
    tokio::runtime::Runtime::new().map_err(text)?.block_on(work)
}

/// The text of an error.
pub fn text(error: impl std::fmt::Display) -> String {
    format!("the check itself failed: {error}")
}
