//! A lock in the program: a mutex around chapter 1's steps. It works while there is one process.

use tokio::sync::Mutex;
use v1_naive::shop::{Error, Shop};

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    let _guard = ONE_AT_A_TIME.lock().await;

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
