//! Chapter 1's purchase. Its counter says far less than there are orders.

use v1_naive::shop::{Error, Shop};

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    let (stock, sold): (i64, i64) = sqlx::query_as("select stock, sold from sales where id = $1")
        .bind(sale_id)
        .fetch_optional(&shop.pool)
        .await?
        .ok_or(Error::NotFound)?;

    if sold >= stock {
        return Err(Error::SoldOut);
    }

    sqlx::query("update sales set sold = $2 where id = $1").bind(sale_id).bind(sold + 1).execute(&shop.pool).await?;

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&shop.pool)
        .await?;
    Ok(order_id)
}
