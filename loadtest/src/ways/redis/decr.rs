//! `DECR`, and give back what went below zero. One command decides, because Redis executes one at a time.

use redis::{AsyncCommands, aio::MultiplexedConnection};

use super::{Commands, store::key};
use crate::ways::way::{Answer, Gap};

pub(super) struct Decr;

impl Commands for Decr {
    async fn take(redis: &mut MultiplexedConnection, _: &Gap, item: i64, _: i64) -> anyhow::Result<Answer> {
        let left: i64 = redis.decr(key(item), 1).await?;
        if left >= 0 {
            return Ok(Answer::Taken);
        }
        let _: i64 = redis.incr(key(item), 1).await?;
        Ok(Answer::SoldOut)
    }
}
