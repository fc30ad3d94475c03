//! The deny list: buyers who may not buy. SQL holds the list. Each sale has a copy in Redis, where `reserve.lua` reads it.

use std::time::Duration;

use sqlx::{PgExecutor, PgPool};

use super::{alone, fenced_writer::FencedWriter};
use crate::{
    lease::Lease,
    redis_store::{KEPT_MS, RedisStore},
    sql::in_time,
};

/// How long an operator waits for a sale's lease.
const PATIENCE: Duration = Duration::from_secs(5);

/// Puts a buyer on the deny list, or takes one off, and updates the copies of these sales in Redis.
///
/// # Errors
/// A server does not answer. If SQL was changed and Redis was not, the next reconciliation updates Redis.
pub(crate) async fn deny(
    sql: &PgPool,
    redis: &RedisStore,
    sales: &[i64],
    (buyer_id, name): (i64, &str),
    lift: bool,
) -> anyhow::Result<()> {
    let statement = match lift {
        true => "delete from denied where buyer_id = $1 or name = $2",
        false => "insert into denied (buyer_id, name) values ($1, $2) on conflict (buyer_id) do nothing",
    };
    in_time(sqlx::query(statement).bind(buyer_id).bind(name).execute(sql)).await?;
    for &sale_id in sales {
        // If a rebuild holds the lease for longer than this, the rebuild copies the list.
        if let Some(lease) = alone(sql, sale_id, PATIENCE).await? {
            let copied = lease.while_held(copy(sql, redis, &lease, sale_id)).await;
            lease.release().await;
            copied?;
        }
    }
    Ok(())
}

/// The deny list and its version.
#[derive(sqlx::FromRow)]
pub(super) struct DenyList {
    /// How often the list has changed so far.
    pub(super) denials: i64,
    pub(super) buyers: Vec<i64>,
}

/// The deny list as SQL has it.
pub(super) async fn list(sql: impl PgExecutor<'_>) -> sqlx::Result<DenyList> {
    let query = "select denials, array(select buyer_id from denied) as buyers from oversold_shop";
    sqlx::query_as(query).fetch_one(sql).await
}

/// Replaces a sale's copy in Redis by SQL's list.
pub(super) async fn copy(sql: &PgPool, redis: &RedisStore, lease: &Lease, sale_id: i64) -> anyhow::Result<()> {
    let closes_at = sqlx::query_scalar("select closes_at from sales where id = $1").bind(sale_id).fetch_one(sql);
    let (closes_at, list): (i64, _) = (in_time(closes_at).await?, in_time(list(sql)).await?);
    let writer = FencedWriter::new(redis, lease, sale_id)?;
    writer.denied(&list.buyers).await?;
    writer.replace_denied(list.denials, closes_at + KEPT_MS).await
}
