//! Wrong: two statements, but the check comes too late. The unit is taken before it is known whether there is one.

use v1_naive::shop::{Error, Shop};

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    let take = "update sales set sold = sold + 1 where id = $1 returning stock, sold";
    let (stock, sold): (i64, i64) =
        sqlx::query_as(take).bind(sale_id).fetch_optional(&shop.pool).await?.ok_or(Error::NotFound)?;
    if sold > stock {
        return Err(Error::SoldOut);
    }

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&shop.pool)
        .await?;
    Ok(order_id)
}
