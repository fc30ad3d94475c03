//! Buyers who get nothing. SQL keeps the list; each sale has a copy in Redis, where the purchase is decided.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::session::buyer_id;
use crate::{
    lease::Lease,
    redis_store::RedisStore,
    shop::sales::now_ms,
    sql::in_time,
    upkeep::{Stage, alone},
};

/// How long a copy lives that nobody renews: what compares Redis with SQL does, as long as the sale is on.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
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

/// Who is on it.
pub(crate) async fn list(sql: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar("select buyer_id from denied order by buyer_id").fetch_all(sql).await
}

/// Makes a sale's copy anew from SQL's list.
pub(crate) async fn tell(sql: &PgPool, redis: &RedisStore, lease: &Lease, sale_id: i64) -> anyhow::Result<()> {
    let mut connection = sql.acquire().await?;
    let denied = in_time(list(&mut connection)).await?;
    let stage = Stage::new(redis, lease, sale_id)?;
    stage.denied(&denied).await?;
    stage.replace_denied(now_ms() + KEPT.as_millis() as i64).await
}
