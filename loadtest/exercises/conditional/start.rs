//! Chapter 3's purchase: compare-and-swap on a version, and another attempt if another buyer was faster.

use std::time::Duration;

use tokio::time::sleep;
use v1_naive::shop::{Error, Shop};

/// Attempts before the answer is `conflict`.
const ATTEMPTS: u64 = 10;

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    for attempt in 0..ATTEMPTS {
        if let Some(order_id) = try_once(shop, sale_id, buyer_id).await? {
            return Ok(order_id);
        }
        sleep(Duration::from_millis(attempt)).await;
    }
    Err(Error::Conflict)
}

/// One attempt at a purchase; `None` if another buyer was faster.
async fn try_once(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<Option<i64>, Error> {
    let look = "select stock, sold, version from sales where id = $1";
    let (stock, sold, version): (i64, i64, i64) =
        sqlx::query_as(look).bind(sale_id).fetch_optional(&shop.pool).await?.ok_or(Error::NotFound)?;

    if sold >= stock {
        return Err(Error::SoldOut);
    }

    let swap = "update sales set sold = $2, version = version + 1 where id = $1 and version = $3";
    let mut tx = shop.pool.begin().await?;
    let swapped = sqlx::query(swap).bind(sale_id).bind(sold + 1).bind(version).execute(&mut *tx).await?;
    if swapped.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(None);
    }

    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Some(order_id))
}
