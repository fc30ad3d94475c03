use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::PgPool;

use super::{
    alone,
    rebuild::{known, write},
};
use crate::{order_id::MOST_SALES, redis_store::RedisStore, shop::sales::Sale, sql::in_time};

/// How long another instance may take to create the same sale.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates a sale: first in SQL, which is the record, then in Redis. Repeated, it changes nothing; after a crash between the two,
/// it does what is missing. It does not restore a sale that Redis has lost, or one with reservations in Redis that PostgreSQL has
/// lost: both need a rebuild.
///
/// # Errors
/// The id is too large to be part of an order's id, the sale closes before it opens, or a server does not answer.
pub(crate) async fn seed(sql: &PgPool, redis: &RedisStore, sale: &Sale) -> anyhow::Result<()> {
    ensure!((1..=MOST_SALES).contains(&sale.id), "sales are numbered from 1 to {MOST_SALES}");
    ensure!(sale.opens_at < sale.closes_at, "sale {} would be over before it begins", sale.id);
    if !is_new(sql, sale.id).await? {
        return Ok(()); // without a lock, and without a wait
    }
    let insert = "insert into sales (id, name, price_cents, stock, sold, opens_at, closes_at)
                  values ($1, $2, $3, $4, 0, $5, $6) on conflict (id) do nothing";
    let query = sqlx::query(insert).bind(sale.id).bind(&sale.name).bind(sale.price_cents).bind(sale.stock);
    in_time(query.bind(sale.opens_at).bind(sale.closes_at).execute(sql)).await?;
    let (_, sold) = known(redis, sale.id).await?;
    if sold > 0 {
        return Ok(());
    }
    let lease = alone(sql, sale.id, PATIENCE).await?;
    let lease = lease.with_context(|| format!("another instance has been putting up sale {} for too long", sale.id))?;
    let written = lease.while_held(async {
        match is_new(sql, sale.id).await? {
            true => write(sql, redis, &lease, sale.id).await.map(drop),
            false => Ok(()),
        }
    });
    let written = written.await;
    lease.release().await;
    written
}

/// Whether the sale has never been in Redis.
async fn is_new(sql: &PgPool, sale_id: i64) -> sqlx::Result<bool> {
    let query = "select not exists (select from sales where id = $1 and epoch > 0)";
    in_time(sqlx::query_scalar(query).bind(sale_id).fetch_one(sql)).await
}
