use anyhow::{Context, ensure};
use redis::Script;
use sqlx::PgPool;

use crate::{order_id::MOST_SALES, redis_store::RedisStore, shop::sales::Sale};

/// The first epoch of a sale.
const FIRST_EPOCH: i64 = 1;

/// Puts a sale up: first in SQL, which is the record, then in Redis. Again, it changes nothing; after a crash between the
/// two it does what is missing. A sale that Redis has known and lost is not made again here: that would sell its units twice.
///
/// # Errors
/// The number is too large to be part of an order's id, or one of the two is away.
pub(crate) async fn seed(sql: &PgPool, redis: &RedisStore, sale: &Sale) -> anyhow::Result<()> {
    ensure!((1..=MOST_SALES).contains(&sale.id), "sales are numbered from 1 to {MOST_SALES}");
    let insert = "insert into sales (id, name, price_cents, stock, sold, opens_at, closes_at)
                  values ($1, $2, $3, $4, 0, $5, $6) on conflict (id) do nothing";
    let query = sqlx::query(insert).bind(sale.id).bind(&sale.name).bind(sale.price_cents).bind(sale.stock);
    query.bind(sale.opens_at).bind(sale.closes_at).execute(sql).await?;

    let mut tx = sql.begin().await?;
    let row = "select stock, opens_at, closes_at from sales where id = $1 and epoch = 0 for update";
    let row: Option<(i64, i64, i64)> = sqlx::query_as(row).bind(sale.id).fetch_optional(&mut *tx).await?;
    let Some((stock, opens_at, closes_at)) = row else { return Ok(()) }; // Redis has known it
    Script::new(include_str!("seed.lua"))
        .key(redis.keys(sale.id).sale)
        .arg(&[FIRST_EPOCH, stock, opens_at, closes_at])
        .invoke_async::<()>(&mut redis.shared.clone())
        .await
        .context("Redis")?;
    sqlx::query("update sales set epoch = $2 where id = $1").bind(sale.id).bind(FIRST_EPOCH).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
