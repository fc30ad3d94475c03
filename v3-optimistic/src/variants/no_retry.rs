//! Compare-and-swap without retries: a buyer who meets another one is refused. It never oversells, but it undersells: of all buyers
//! who read the same version, one gets a unit, and the others are refused although units are left.

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
    let (stock, sold, version): (i64, i64, i64) =
        sqlx::query_as("select stock, sold, version from sales where id = $1")
            .bind(sale_id)
            .fetch_optional(&shop.pool)
            .await?
            .ok_or(Error::NotFound)?;

    if sold >= stock {
        return Err(Error::SoldOut);
    }

    let mut tx = shop.pool.begin().await?;
    let swapped = sqlx::query("update sales set sold = $3, version = version + 1 where id = $1 and version = $2")
        .bind(sale_id)
        .bind(version)
        .bind(sold + 1)
        .execute(&mut *tx)
        .await?
        .rows_affected();

    if swapped == 0 {
        tx.rollback().await?;
        return Err(Error::Conflict);
    }

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(order_id)
}
