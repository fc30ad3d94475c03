//! A Lua script, as in chapter 6: it checks the stock and the buyer, and writes both, in one request. Redis runs it alone.

use std::sync::LazyLock;

use redis::{Script, aio::MultiplexedConnection};

use super::{
    Commands,
    store::{buyers_key, key},
};
use crate::ways::way::{Answer, Gap};

pub(super) struct Lua;

static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('sismember', KEYS[2], ARGV[1]) == 1 then return 1 end
         if tonumber(redis.call('get', KEYS[1]) or 0) <= 0 then return 0 end
         redis.call('decr', KEYS[1])
         redis.call('sadd', KEYS[2], ARGV[1])
         return 1",
    )
});

impl Commands for Lua {
    const HAS_BUYERS: bool = true;

    async fn take(redis: &mut MultiplexedConnection, _: &Gap, item: i64, buyer: i64) -> anyhow::Result<Answer> {
        let taken = TAKE.key(key(item)).key(buyers_key(item)).arg(buyer).invoke_async(redis).await?;
        Ok(if taken { Answer::Taken } else { Answer::SoldOut })
    }
}
