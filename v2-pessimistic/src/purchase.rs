//! Chapter 2, the one file to read: lock the row, look, update, take the order, let go.
//!
//! The lock is the row's, not the process's: whoever sells this sale, in whichever instance, waits here.

use axum::{Router, extract::State, routing::post};
use serde::Deserialize;

use crate::shop::{Buyer, Database, Error, Path, Placed, Shop};

/// The address to buy at.
pub const BUY: &str = "/sales/{sale_id}/purchase";

/// What the address names.
#[derive(Deserialize)]
pub struct PurchasePath {
    /// The sale's id.
    pub sale_id: i64,
}

/// Mounts the purchase.
pub fn routes() -> Router<Shop> {
    Router::new().route(BUY, post(handler))
}

/// `POST /sales/{sale_id}/purchase`: one unit for the buyer who asks.
pub async fn handler(shop: State<Shop>, Path(path): Path<PurchasePath>, buyer: Buyer) -> Result<Placed, Error> {
    purchase(&shop, path.sale_id, buyer.id).await.map(Placed)
}

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    let (begin, lock) = match shop.database {
        Database::Postgres => ("begin", "select stock, sold from sales where id = $1 for update"),
        // SQLite has no row locks: its one lock is the whole database, taken here instead of at the select.
        Database::Sqlite => ("begin immediate", "select stock, sold from sales where id = $1"),
    };
    let mut tx = shop.pool.begin_with(begin).await?;

    // Waits until nobody else holds the row, `lock_timeout` at most (then: `conflict`), and reads what they left.
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

    // Lets go of the row; only now do others see the unit gone.
    tx.commit().await?;
    Ok(order_id)
}
