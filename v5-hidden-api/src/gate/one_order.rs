use anyhow::Context;
use axum::{Extension, extract::State};

use super::refused::Refused;
use crate::{
    purchase::{self, PurchasePath},
    shop::{Buyer, Error, Path, Placed, Shop},
};

/// The gate itself: a unique index, so the database refuses a second order. It works for all instances, and survives a restart.
pub(super) async fn add_index(shop: &Shop) -> anyhow::Result<()> {
    let index = "create unique index if not exists one_order_per_buyer on orders (sale_id, buyer_id)";
    shop.database
        .make(&shop.pool, &[index])
        .await
        .context("the database cannot have a unique index on orders (sale_id, buyer_id)")
}

/// Chapter 3's purchase. A violation of the index becomes `limit-reached`.
///
/// # Errors
/// 409 `limit-reached`, and the errors of chapter 3's purchase.
pub async fn handler(
    shop: State<Shop>,
    retry: Extension<v3_optimistic::Retry>,
    path: Path<PurchasePath>,
    buyer: Buyer,
) -> Result<Placed, Refused> {
    purchase::handler(shop, retry, path, buyer).await.map_err(|error| match error {
        Error::Internal(sqlx::Error::Database(cause)) if cause.is_unique_violation() => Refused::LimitReached,
        error => error.into(),
    })
}
