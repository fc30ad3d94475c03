//! The condition is part of the update: `where sold < stock`. It needs no version and no retry, and it does not oversell.
//!
//! The database checks and updates the row under the row's lock, which it holds until the commit. This works because "is a unit
//! left" fits into a `where` clause. A version is for decisions that do not fit into one.

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
    let sold = sqlx::query("update sales set sold = sold + 1 where id = $1 and sold < stock")
        .bind(sale_id)
        .execute(&mut *tx)
        .await?
        .rows_affected();

    if sold == 0 {
        tx.rollback().await?;
        let exists = sqlx::query("select id from sales where id = $1").bind(sale_id).fetch_optional(&shop.pool).await?;
        return Err(if exists.is_some() { Error::SoldOut } else { Error::NotFound });
    }

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(order_id)
}
