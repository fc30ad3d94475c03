//! A crowd in the process of the shop, for the examples of chapters 1 and 3: no load test, no servers, no network.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// Buyers who click at once.
pub(crate) const BUYERS: usize = 2000;
/// Units for sale.
pub(crate) const UNITS: i64 = 100;

/// An embedded database. It is deleted when this is dropped.
pub(crate) struct Database {
    _folder: TempDir,
    url: String,
}

/// What the buyers were told, and what the database holds.
pub(crate) struct Outcome {
    /// Buyers who were told that they have a unit.
    pub(crate) told_yes: usize,
    /// Orders in the database.
    pub(crate) orders: i64,
    /// The sale's own counter.
    pub(crate) sold: i64,
}

impl Database {
    /// A new one.
    pub(crate) fn new() -> anyhow::Result<Database> {
        let folder = tempfile::tempdir()?;
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("shop.db").display());
        Ok(Database { _folder: folder, url })
    }

    /// The command line of a shop that sells the units from this database.
    pub(crate) fn shop(&self) -> [String; 7] {
        ["shop", "--database-url", &self.url, "--stock", &UNITS.to_string(), "--log", "off"].map(Into::into)
    }

    /// All buyers click at once.
    pub(crate) async fn stampede(&self, shop: &Router) -> anyhow::Result<Outcome> {
        let mut buyers = JoinSet::new();
        for buyer in 1..=BUYERS {
            let click = Request::post("/sales/1/purchase").header("x-buyer-id", buyer).body(Body::empty())?;
            buyers.spawn(shop.clone().oneshot(click));
        }
        let mut told_yes = 0;
        while let Some(answer) = buyers.join_next().await {
            told_yes += usize::from(answer??.status() == StatusCode::CREATED);
        }
        let rows = sqlx::AnyPool::connect(&self.url).await?;
        let orders = sqlx::query_scalar("select count(*) from orders").fetch_one(&rows).await?;
        let sold = sqlx::query_scalar("select sold from sales where id = 1").fetch_one(&rows).await?;
        Ok(Outcome { told_yes, orders, sold })
    }
}
