//! A lock with a lease and a fencing token: a number that grows with each holder. The row keeps the greatest token that it has
//! seen, from the first read on, and refuses the write of an earlier holder.

use std::sync::LazyLock;

use redis::{Script, aio::MultiplexedConnection};
use sqlx::{Connection, PgConnection};

use super::{LEASE_MS, Steps, lock::RELEASE};
use crate::ways::{
    postgres::database::order,
    way::{Answer, Gap},
};

pub(super) struct LockFenced;

/// Returns the token, or 0 if the lock is held.
static LOCK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('exists', KEYS[1]) == 1 then return 0 end
         local token = redis.call('incr', KEYS[2])
         redis.call('set', KEYS[1], token, 'px', ARGV[1])
         return token",
    )
});
const READ: &str = "update items set fence = $2 where id = $1 and fence < $2 returning stock, sold";
const WRITE: &str = "update items set sold = $3 where id = $1 and fence = $2";

impl Steps for LockFenced {
    async fn take(
        redis: &mut MultiplexedConnection,
        db: &mut PgConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> anyhow::Result<Answer> {
        let key = format!("lock:{item}");
        let token: i64 = LOCK.key(&key).key(format!("fence:{item}")).arg(LEASE_MS).invoke_async(redis).await?;
        if token == 0 {
            return Ok(Answer::Again);
        }
        let read: Option<(i64, i64)> = sqlx::query_as(READ).bind(item).bind(token).fetch_optional(&mut *db).await?;
        let mut answer = if read.is_some() { Answer::SoldOut } else { Answer::Again };
        if let Some((_, sold)) = read.filter(|(stock, sold)| sold < stock) {
            gap.pass().await;
            let mut tx = db.begin().await?;
            let write = sqlx::query(WRITE).bind(item).bind(token).bind(sold + 1).execute(&mut *tx).await?;
            answer = if write.rows_affected() == 1 { Answer::Taken } else { Answer::Again };
            if answer == Answer::Taken {
                order(&mut tx, item, buyer).await?;
            }
            tx.commit().await?;
        }
        RELEASE.key(&key).arg(token).invoke_async::<()>(redis).await?;
        Ok(answer)
    }
}
