//! "Lock as late as you can": insert the order first, then lock the row, so that the lock is held for a shorter time. It deadlocks.
//!
//! The order's foreign key takes a share lock on the sale's row, so that the row cannot be deleted. Many transactions hold this
//! lock at the same time. Then each asks for the exclusive lock and waits for all the others. PostgreSQL detects the deadlock after
//! `deadlock_timeout` (one second) and ends one transaction with 40P01, which is answered as `conflict`.

use axum::{Router, extract::State, routing::post};

use crate::{
    purchase::{BUY, PurchasePath},
    shop::{Buyer, Error, Path, Placed, Shop},
};

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
    let mut tx = shop.pool.begin().await?;

    // The foreign key takes a share lock on the sale's row.
    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;

    // Asks for the exclusive lock, while other transactions hold share locks and ask for the same.
    let (stock, sold): (i64, i64) = sqlx::query_as("select stock, sold from sales where id = $1 for update")
        .bind(sale_id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(Error::NotFound)?;

    if sold >= stock {
        tx.rollback().await?; // removes the order
        return Err(Error::SoldOut);
    }

    sqlx::query("update sales set sold = $2 where id = $1").bind(sale_id).bind(sold + 1).execute(&mut *tx).await?;

    tx.commit().await?;
    Ok(order_id)
}
