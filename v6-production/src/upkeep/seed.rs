use std::time::Duration;

use anyhow::ensure;
use sqlx::PgPool;
use tokio::time::sleep;

use super::{alone, rebuild::write};
use crate::{order_id::MOST_SALES, redis_store::RedisStore, shop::sales::Sale, sql::in_time};

/// How long we wait before we look again whether another instance is done with the same sale.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Puts a sale up: first in SQL, which is the record, then in Redis. Again, it changes nothing. A sale that Redis has known and
/// lost is not made again here: that takes a rebuild.
///
/// # Errors
/// The number is too large to be part of an order's id, or one of the two is away.
pub(crate) async fn seed(sql: &PgPool, redis: &RedisStore, sale: &Sale) -> anyhow::Result<()> {
    ensure!((1..=MOST_SALES).contains(&sale.id), "sales are numbered from 1 to {MOST_SALES}");
    if !is_new(sql, sale.id).await? {
        return Ok(()); // and nothing is locked, or waited for
    }
    let insert = "insert into sales (id, name, price_cents, stock, sold, opens_at, closes_at)
                  values ($1, $2, $3, $4, 0, $5, $6) on conflict (id) do nothing";
    let query = sqlx::query(insert).bind(sale.id).bind(&sale.name).bind(sale.price_cents).bind(sale.stock);
    in_time(query.bind(sale.opens_at).bind(sale.closes_at).execute(sql)).await?;
    while is_new(sql, sale.id).await? {
        let Some(lease) = alone(sql, sale.id).await? else {
            sleep(LOOK_EVERY).await;
            continue;
        };
        let written = lease.while_held(async {
            match is_new(sql, sale.id).await? {
                true => write(sql, redis, &lease, sale.id).await.map(drop),
                false => Ok(()),
            }
        });
        let written = written.await;
        lease.release().await;
        written?;
    }
    Ok(())
}

/// Whether it has never been in Redis.
async fn is_new(sql: &PgPool, sale_id: i64) -> sqlx::Result<bool> {
    let query = "select not exists (select from sales where id = $1 and epoch > 0)";
    in_time(sqlx::query_scalar(query).bind(sale_id).fetch_one(sql)).await
}
