//! The condition is in the update, so the database decides, and no buyer is in conflict.

use v1_naive::shop::{Error, Shop};

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
        return Err(Error::SoldOut);
    }

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(order_id)
}
