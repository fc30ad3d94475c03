use anyhow::Context;
use axum::{Extension, extract::State};

use super::refused::Refused;
use crate::{
    purchase::{self, PurchasePath},
    shop::{Buyer, Error, Path, Placed, Shop},
};

/// The gate itself: the database refuses a second order. No process can forget it, and none has to ask first.
pub(super) async fn add_index(shop: &Shop) -> anyhow::Result<()> {
    let index = "create unique index if not exists one_order_per_buyer on orders (sale_id, buyer_id)";
    shop.database.make(&shop.pool, &[index]).await.context("one order for each buyer cannot be had in this database")
}

/// Chapter 3's purchase, and a word for what the index says.
///
/// # Errors
/// 409 `limit-reached`, and chapter 3's.
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
