use anyhow::ensure;
use sqlx::PgPool;

use super::rebuild::{known, write};
use crate::{order_id::MOST_SALES, redis_store::RedisStore, shop::sales::Sale};

/// Puts a sale up: first in SQL, which is the record, then in Redis. Again, it changes nothing; after a crash between the
/// two it does what is missing. A sale that Redis has known and lost is not made again here: that takes a rebuild. So does one that
/// Redis has sold from and PostgreSQL has lost: its reservations are not to be forgotten.
///
/// # Errors
/// The number is too large to be part of an order's id, or one of the two is away.
pub(crate) async fn seed(sql: &PgPool, redis: &RedisStore, sale: &Sale) -> anyhow::Result<()> {
    ensure!((1..=MOST_SALES).contains(&sale.id), "sales are numbered from 1 to {MOST_SALES}");
    let insert = "insert into sales (id, name, price_cents, stock, sold, opens_at, closes_at)
                  values ($1, $2, $3, $4, 0, $5, $6) on conflict (id) do nothing";
    let query = sqlx::query(insert).bind(sale.id).bind(&sale.name).bind(sale.price_cents).bind(sale.stock);
    query.bind(sale.opens_at).bind(sale.closes_at).execute(sql).await?;

    let (_, sold) = known(redis, sale.id).await?;
    if sold > 0 {
        return Ok(());
    }
    let mut tx = sql.begin().await?;
    let unknown = "select epoch = 0 from sales where id = $1 for no key update";
    if sqlx::query_scalar(unknown).bind(sale.id).fetch_one(&mut *tx).await? {
        write(&mut tx, redis, sale.id).await?;
        tx.commit().await?;
    }
    Ok(())
}
