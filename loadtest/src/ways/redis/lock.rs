//! A lock with a lease (`SET NX PX`) around chapter 1's statements, without a fence. If the holder is paused past its lease, the next
//! buyer has the lock, too, and both write.

use std::sync::LazyLock;

use redis::{Script, aio::MultiplexedConnection};
use sqlx::PgConnection;

use super::{LEASE_MS, Steps};
use crate::ways::{
    postgres::database::{order, read, write},
    way::{Answer, Gap},
};

pub(super) struct Lock;

/// Deletes the lock if it is still ours.
pub(super) static RELEASE: LazyLock<Script> =
    LazyLock::new(|| Script::new("if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"));

impl Steps for Lock {
    async fn take(
        redis: &mut MultiplexedConnection,
        db: &mut PgConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> anyhow::Result<Answer> {
        let (key, token) = (format!("lock:{item}"), fastrand::u64(..));
        let mut lock = redis::cmd("SET");
        lock.arg(&key).arg(token).arg("NX").arg("PX").arg(LEASE_MS);
        if lock.query_async::<Option<String>>(redis).await?.is_none() {
            return Ok(Answer::Again);
        }
        let (stock, sold) = read(db, item).await?;
        if sold < stock {
            gap.pass().await;
            write(db, item, sold + 1).await?;
            order(db, item, buyer).await?;
        }
        RELEASE.key(&key).arg(token).invoke_async::<()>(redis).await?;
        Ok(if sold < stock { Answer::Taken } else { Answer::SoldOut })
    }
}
