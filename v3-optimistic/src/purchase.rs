//! Chapter 3, the one file to read: look without a lock, and write only if nobody wrote in between.
//!
//! The version is the proof: every write raises it, so an update that names the version it read changes no row once
//! anybody was faster. Then the buyer looks again, after a while that grows and that chance decides.

use std::time::Duration;

use axum::{Extension, Router, extract::State, routing::post};
use serde::Deserialize;
use tokio::time::sleep;

use crate::{
    Retry,
    shop::{Buyer, Error, Path, Placed, Shop},
};

/// The address to buy at.
pub const BUY: &str = "/sales/{sale_id}/purchase";

/// What the address names.
#[derive(Deserialize)]
pub struct PurchasePath {
    /// The sale's id.
    pub sale_id: i64,
}

/// Mounts the purchase.
pub fn routes() -> Router<Shop> {
    Router::new().route(BUY, post(handler))
}

/// `POST /sales/{sale_id}/purchase`: one unit for the buyer who asks.
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
        let (stock, sold, version): (i64, i64, i64) =
            sqlx::query_as("select stock, sold, version from sales where id = $1")
                .bind(sale_id)
                .fetch_optional(&shop.pool)
                .await?
                .ok_or(Error::NotFound)?;

        if sold >= stock {
            return Err(Error::SoldOut);
        }

        // Compare and swap: one row if nobody bought since we looked, else none.
        let mut tx = shop.pool.begin().await?;
        let swapped = sqlx::query("update sales set sold = $3, version = version + 1 where id = $1 and version = $2")
            .bind(sale_id)
            .bind(version)
            .bind(sold + 1)
            .execute(&mut *tx)
            .await?
            .rows_affected();

        if swapped == 1 {
            let order_id = sqlx::query_scalar("insert into orders (sale_id, buyer_id) values ($1, $2) returning id")
                .bind(sale_id)
                .bind(buyer_id)
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            return Ok(order_id);
        }

        tx.rollback().await?;
        metrics::counter!("conflicts_total").increment(1);
        // Full jitter: a crowd that waits the same time meets again.
        let at_most = retry.backoff_cap_ms.min(retry.backoff_base_ms << attempt.min(20));
        sleep(Duration::from_millis(fastrand::u64(0..=at_most))).await;
    }
    metrics::counter!("give_ups_total").increment(1);
    Err(Error::Conflict)
}
