use crate::shop::{self, Shop};

/// Opens a shop whose sales have a version column, for this chapter and for the later ones that use its purchase.
///
/// # Errors
/// See [`Shop::open`].
pub async fn open(config: &shop::Config, buy: &'static str) -> anyhow::Result<Shop> {
    let shop = Shop::open(config, buy).await?;
    add_version(&shop).await?;
    Ok(shop)
}

/// Adds the version column, unless the database has it already.
async fn add_version(shop: &Shop) -> sqlx::Result<()> {
    let probe = || sqlx::query("select version from sales").fetch_optional(&shop.pool);
    if probe().await.is_ok() {
        return Ok(());
    }
    let statement = "alter table sales add column version bigint not null default 0";
    match shop.database.make(&shop.pool, &[statement]).await {
        // Another instance, started at the same time, has added it.
        Err(_) if probe().await.is_ok() => Ok(()),
        done => done,
    }
}
