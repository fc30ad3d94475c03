//! Buyers who get nothing. SQL keeps the list; each sale has a copy in Redis, where the purchase is decided.

use std::time::Duration;

use redis::{RedisResult, pipe};
use sqlx::{PgConnection, PgPool};

use super::session::buyer_id;
use crate::redis_store::RedisStore;

/// How long a copy lives that nobody renews: what compares Redis with SQL does, as long as the sale is on.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

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
    let mut connection = sql.acquire().await?;
    sqlx::query(statement).bind(buyer_id(name)).bind(name).execute(&mut *connection).await?;
    let denied = list(&mut connection).await?;
    for &sale_id in sales {
        tell(redis, sale_id, &denied).await?;
    }
    Ok(())
}

/// Who is on it.
pub(crate) async fn list(sql: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar("select buyer_id from denied order by buyer_id").fetch_all(sql).await
}

/// Makes a sale's copy anew, in one go.
pub(crate) async fn tell(redis: &RedisStore, sale_id: i64, denied: &[i64]) -> RedisResult<()> {
    let key = redis.keys(sale_id).denied;
    let mut write = pipe();
    write.atomic().del(&key).ignore();
    for buyers in denied.chunks(1000) {
        let buyers: Vec<[u8; 8]> = buyers.iter().map(|buyer| buyer.to_be_bytes()).collect();
        write.sadd(&key, buyers.iter().map(|buyer| buyer.as_slice()).collect::<Vec<_>>()).ignore();
    }
    write.expire(&key, KEPT.as_secs() as i64).ignore();
    write.query_async(&mut redis.shared.clone()).await
}
