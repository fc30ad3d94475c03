//! Wrong: the index is there, but no transaction. Each refused click has taken a unit, and does not give it back.

use v1_naive::shop::Shop;

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
        match error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => Refused::LimitReached,
            error => Refused::Failed(error),
        }
    }
}

/// Runs once, when the shop opens.
pub async fn prepare(shop: &Shop) -> sqlx::Result<()> {
    let index = "create unique index if not exists one_order_per_buyer on orders (sale_id, buyer_id)";
    shop.database.make(&shop.pool, &[index]).await
}

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, sale_id: i64, buyer_id: i64) -> Result<i64, Refused> {
    let taken = sqlx::query("update sales set sold = sold + 1 where id = $1 and sold < stock").bind(sale_id);
    if taken.execute(&shop.pool).await?.rows_affected() == 0 {
        return Err(Refused::SoldOut);
    }
    let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
        .bind(sale_id)
        .bind(buyer_id)
        .fetch_one(&shop.pool)
        .await?;
    Ok(order_id)
}
