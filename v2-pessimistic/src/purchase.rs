//! Chapter 2, the one file to read: lock the row, read the counter, compare, write it back, insert the order, commit.
//!
//! The lock belongs to the row and not to the process, so buyers of this sale wait for each other in all instances.

use axum::{Router, extract::State, routing::post};
use serde::Deserialize;

use crate::shop::{Buyer, Database, Error, Path, Placed, Shop};

/// The route of a purchase.
pub const BUY: &str = "/sales/{sale_id}/purchase";

/// The sale in a purchase URL.
#[derive(Deserialize)]
pub struct PurchasePath {
    /// The sale's id.
    pub sale_id: i64,
}

/// The purchase as a router.
pub fn routes() -> Router<Shop> {
    Router::new().route(BUY, post(handler))
}

/// `POST /sales/{sale_id}/purchase`: sells one unit to this buyer.
pub async fn handler(shop: State<Shop>, Path(path): Path<PurchasePath>, buyer: Buyer) -> Result<Placed, Error> {
    purchase(&shop, path.sale_id, buyer.id).await.map(Placed)
}

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    let (begin, lock) = match shop.database {
        Database::Postgres => ("begin", "select stock, sold from sales where id = $1 for update"),
        // SQLite has no row locks. Its only lock is for the whole database, and `begin immediate` takes it.
        Database::Sqlite => ("begin immediate", "select stock, sold from sales where id = $1"),
    };
    let mut tx = shop.pool.begin_with(begin).await?;

    // Waits for the row's lock (after `lock_timeout`: `conflict`), and reads the last committed values.
    let (stock, sold): (i64, i64) =
        sqlx::query_as(lock).bind(sale_id).fetch_optional(&mut *tx).await?.ok_or(Error::NotFound)?;

    if sold >= stock {
        tx.rollback().await?;
        return Err(Error::SoldOut);
    }

    sqlx::query("update sales set sold = $2 where id = $1").bind(sale_id).bind(sold + 1).execute(&mut *tx).await?;

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;

    // The commit releases the lock. Only now do others see the new counter.
    tx.commit().await?;
    Ok(order_id)
}
