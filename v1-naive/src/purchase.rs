//! Chapter 1, the one file to read: read the counter, compare, write it back, insert the order.
//!
//! Every line is right for one buyer. But between the first statement and the second, another buyer may read the same counter.

use axum::{Router, extract::State, routing::post};
use serde::Deserialize;

use crate::shop::{Buyer, Error, Path, Placed, Shop};

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
    // These values are right when they are read. At the next statement they may be out of date.
    let (stock, sold): (i64, i64) = sqlx::query_as("select stock, sold from sales where id = $1")
        .bind(sale_id)
        .fetch_optional(&shop.pool)
        .await?
        .ok_or(Error::NotFound)?;

    if sold >= stock {
        return Err(Error::SoldOut);
    }

    // The lost update: all who read the same `sold` write back the same number.
    sqlx::query("update sales set sold = $2 where id = $1").bind(sale_id).bind(sold + 1).execute(&shop.pool).await?;

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&shop.pool)
        .await?;
    Ok(order_id)
}
