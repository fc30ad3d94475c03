use crate::shop::{self, Shop};

/// A shop whose sales have a version, for this chapter and for those that build on its purchase.
///
/// # Errors
/// See [`Shop::open`].
pub async fn open(config: &shop::Config, buy: &'static str) -> anyhow::Result<Shop> {
    let shop = Shop::open(config, buy).await?;
    add_version(&shop).await?;
    Ok(shop)
}

/// Adds the column that the whole chapter is about, unless this database has it.
async fn add_version(shop: &Shop) -> sqlx::Result<()> {
    let probe = || sqlx::query("select version from sales").fetch_optional(&shop.pool);
    if probe().await.is_ok() {
        return Ok(());
    }
    let statement = "alter table sales add column version bigint not null default 0";
    match shop.database.make(&shop.pool, &[statement]).await {
        // Another instance that starts at the same time was faster.
        Err(_) if probe().await.is_ok() => Ok(()),
        done => done,
    }
}
