//! Buyers who get nothing. SQL keeps the list; each sale has a copy in Redis, where the purchase is decided.

use std::time::Duration;

use sqlx::{PgExecutor, PgPool};

use super::session::buyer_id;
use crate::{
    lease::Lease,
    redis_store::{KEPT_MS, RedisStore},
    sql::in_time,
    upkeep::{Stage, alone},
};

/// How long we wait for a sale's lease.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts a buyer on the list, or takes one off, and tells all these sales.
///
/// # Errors
/// A server is away. Then SQL may know and Redis may not yet: what compares the two will tell it.
pub(crate) async fn deny(
    sql: &PgPool,
    redis: &RedisStore,
    sales: &[i64],
    name: &str,
    lift: bool,
) -> anyhow::Result<()> {
    let statement = match lift {
        true => "delete from denied where buyer_id = $1 or name = $2",
        false => "insert into denied (buyer_id, name) values ($1, $2) on conflict (buyer_id) do nothing",
    };
    in_time(sqlx::query(statement).bind(buyer_id(name)).bind(name).execute(sql)).await?;
    for &sale_id in sales {
        // If it is being rebuilt for longer than this, the rebuild tells it.
        if let Some(lease) = alone(sql, sale_id, PATIENCE).await? {
            let told = lease.while_held(tell(sql, redis, &lease, sale_id)).await;
            lease.release().await;
            told?;
        }
    }
    Ok(())
}

/// The list, and which one it is.
#[derive(sqlx::FromRow)]
pub(crate) struct DenyList {
    /// Changes that it has seen.
    pub(crate) denials: i64,
    pub(crate) buyers: Vec<i64>,
}

/// Who is on it.
pub(crate) async fn list(sql: impl PgExecutor<'_>) -> sqlx::Result<DenyList> {
    let query = "select denials, array(select buyer_id from denied) as buyers from oversold_shop";
    sqlx::query_as(query).fetch_one(sql).await
}

/// Makes a sale's copy anew from SQL's list.
pub(crate) async fn tell(sql: &PgPool, redis: &RedisStore, lease: &Lease, sale_id: i64) -> anyhow::Result<()> {
    let closes_at = sqlx::query_scalar("select closes_at from sales where id = $1").bind(sale_id).fetch_one(sql);
    let (closes_at, list): (i64, _) = (in_time(closes_at).await?, in_time(list(sql)).await?);
    let stage = Stage::new(redis, lease, sale_id)?;
    stage.denied(&list.buyers).await?;
    stage.replace_denied(list.denials, closes_at + KEPT_MS).await
}
