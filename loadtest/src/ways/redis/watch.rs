//! `WATCH`/`MULTI`: compare-and-swap in Redis. The transaction fails if another client has changed the counter since `WATCH`.

use redis::{AsyncCommands, aio::MultiplexedConnection};

use super::{Commands, store::key};
use crate::ways::way::{Answer, Gap};

pub(super) struct Watch;

impl Commands for Watch {
    async fn take(redis: &mut MultiplexedConnection, gap: &Gap, item: i64, _: i64) -> anyhow::Result<Answer> {
        let key = key(item);
        redis::cmd("WATCH").arg(&key).query_async::<()>(redis).await?;
        let left: Option<i64> = redis.get(&key).await?;
        if left.unwrap_or_default() <= 0 {
            redis::cmd("UNWATCH").query_async::<()>(redis).await?;
            return Ok(Answer::SoldOut);
        }
        gap.pass().await;
        let swapped: Option<(i64,)> = redis::pipe().atomic().decr(&key, 1).query_async(redis).await?;
        Ok(if swapped.is_some() { Answer::Taken } else { Answer::Again })
    }
}
