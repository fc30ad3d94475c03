//! "Put it in a transaction": the same four steps, all or nothing. It still oversells.
//!
//! A transaction makes the steps atomic, but it does not isolate them: under read committed, two transactions can read the same
//! `sold`. The second update waits for the first one to commit, and then overwrites it.

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
    let mut tx = shop.pool.begin().await?; // read committed is PostgreSQL's default

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
