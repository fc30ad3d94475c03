//! Chapter 3, the one file to read: read without a lock, and write only if nobody else wrote in between (compare-and-swap).
//!
//! Every write raises the row's version. An update names the version that it read, and changes no row if another buyer was
//! faster. Then the purchase is tried again, after a random wait that grows with each attempt.

use axum::{Extension, Router, extract::State, routing::post};
use serde::Deserialize;

use crate::Retry;
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
pub async fn handler(
    shop: State<Shop>,
    retry: Extension<Retry>,
    Path(path): Path<PurchasePath>,
    buyer: Buyer,
) -> Result<Placed, Error> {
    purchase(&shop, &retry, path.sale_id, buyer.id).await.map(Placed)
}

/// Sells one unit and returns the order's id.
pub async fn purchase(shop: &Shop, retry: &Retry, sale_id: i64, buyer_id: i64) -> Result<i64, Error> {
    for attempt in 0..=retry.retries {
        retry.wait_before(attempt).await;
        if let Some(order_id) = try_once(shop, sale_id, buyer_id).await? {
            return Ok(order_id);
        }
        metrics::counter!("conflicts_total").increment(1);
    }
    metrics::counter!("give_ups_total").increment(1);
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

    // Compare-and-swap: changes one row if nobody bought since the select, else none.
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
