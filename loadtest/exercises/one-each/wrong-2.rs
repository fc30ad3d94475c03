//! Wrong: a mutex lets one click after the other look and sell, in this process. Another instance has a mutex of its own.

use tokio::sync::Mutex;
use v1_naive::shop::Shop;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Why a buyer gets no unit.
#[derive(Debug)]
pub enum Refused {
    /// No unit is left.
    SoldOut,
    /// The buyer has a unit.
    LimitReached,
    /// An error of the database.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Refused::Failed(error)
    }
}

/// Runs once, when the shop opens.
pub async fn prepare(_shop: &Shop) -> sqlx::Result<()> {
    Ok(())
}

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Refused> {
    let _guard = ONE_AT_A_TIME.lock().await;
    let has: i64 = sqlx::query_scalar("select count(*) from orders where sale_id = $1 and buyer_id = $2")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&shop.pool)
        .await?;
    if has > 0 {
        return Err(Refused::LimitReached);
    }

    let mut tx = shop.pool.begin().await?;
    let taken = sqlx::query("update sales set sold = sold + 1 where id = $1 and sold < stock").bind(sale_id);
    if taken.execute(&mut *tx).await?.rows_affected() == 0 {
        return Err(Refused::SoldOut);
    }
    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(order_id)
}
