//! No explicit lock: under serializable isolation, chapter 1's steps commit only if they could have run one after the other.
//!
//! It does not oversell. The cost is retries: of all transactions that meet at the row, one commits, and the others fail with 40001
//! and start again.

use std::time::Duration;

use axum::{Router, extract::State, routing::post};
use tokio::time::sleep;

use crate::{
    purchase::{BUY, PurchasePath},
    shop::{Buyer, Error, Path, Placed, Shop},
};

/// How often a failed attempt is repeated. The longest wait doubles from 20 ms up to 4 s, with full jitter.
const RETRIES: u32 = 10;

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
    for retry in 0..RETRIES {
        match attempt(shop, sale_id, buyer_id).await {
            Err(Error::Conflict) => sleep(Duration::from_millis(fastrand::u64(0..=(20 << retry).min(4000)))).await,
            decided => return decided,
        }
    }
    attempt(shop, sale_id, buyer_id).await
}

/// One attempt at a purchase. Error 40001 from any statement, also from the commit, becomes `Error::Conflict`.
async fn attempt(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    let mut tx = shop.pool.begin_with("begin isolation level serializable").await?;

    let (stock, sold): (i64, i64) = sqlx::query_as("select stock, sold from sales where id = $1")
        .bind(sale_id)
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(Error::NotFound)?;

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

    tx.commit().await?;
    Ok(order_id)
}
