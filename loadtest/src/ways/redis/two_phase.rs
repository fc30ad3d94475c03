//! Two phases: reserve in Redis, confirm in SQL. A reservation that is not confirmed ends by itself, and its unit is sold again. SQL
//! has the last word, so a buyer who confirms too late is refused.

use std::sync::LazyLock;

use redis::{AsyncCommands, Script, aio::MultiplexedConnection};
use sqlx::{Connection, PgConnection};

use super::{LEASE_MS, Steps, store::key};
use crate::ways::{
    postgres::database::order,
    way::{Answer, Gap},
};

pub(super) struct TwoPhase;

/// Releases what has lapsed, then reserves. While others hold reservations, units may return, so the buyer asks again.
static RESERVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('time')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         local lapsed = redis.call('zremrangebyscore', KEYS[2], '-inf', now)
         local left = redis.call('incrby', KEYS[1], lapsed)
         if left <= 0 and redis.call('zcard', KEYS[2]) > 0 then return 'again' end
         if left <= 0 then return 'sold-out' end
         redis.call('decr', KEYS[1])
         redis.call('zadd', KEYS[2], now + ARGV[2], ARGV[1])
         return 'reserved'",
    )
});

impl Steps for TwoPhase {
    async fn take(
        redis: &mut MultiplexedConnection,
        db: &mut PgConnection,
        gap: &Gap,
        item: i64,
        buyer: i64,
    ) -> anyhow::Result<Answer> {
        let reserved = format!("reserved:{item}");
        let answer: String = RESERVE.key(key(item)).key(&reserved).arg(buyer).arg(LEASE_MS).invoke_async(redis).await?;
        match answer.as_str() {
            "reserved" => gap.pass().await,
            "again" => return Ok(Answer::Again),
            _ => return Ok(Answer::SoldOut),
        }
        let mut tx = db.begin().await?;
        let confirm = "update items set sold = sold + 1 where id = $1 and sold < stock";
        let is_sold = sqlx::query(confirm).bind(item).execute(&mut *tx).await?.rows_affected() == 1;
        if is_sold {
            order(&mut tx, item, buyer).await?;
        }
        tx.commit().await?;
        let _: i64 = redis.zrem(&reserved, buyer).await?;
        Ok(if is_sold { Answer::Taken } else { Answer::SoldOut })
    }
}
