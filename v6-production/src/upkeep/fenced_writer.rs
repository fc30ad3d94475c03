//! How the holder of a sale's lease writes to Redis. It first writes temporary keys, and then one script checks the fencing token
//! and renames them. A process that is stopped in between has changed nothing.

use std::{sync::LazyLock, time::Duration};

use redis::{Pipeline, RedisResult, Script, ToSingleRedisArg};

use crate::{
    lease::Lease,
    order_id::OrderId,
    redis_store::{RedisStore, SaleKeys},
};

/// How long temporary keys live if their writer was stopped.
const STAGED: Duration = Duration::from_secs(600);
/// The most fields or members in one command.
const BATCH: usize = 1000;

static CLOSE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("fence.lua"), include_str!("close.lua"))));
static REPLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("fence.lua"), include_str!("replace.lua"))));

static DENIALS: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("fence.lua"), include_str!("denials.lua"))));

/// The keys of a sale, and the temporary keys that will replace them.
pub(crate) struct FencedWriter<'a> {
    redis: &'a RedisStore,
    sale_id: i64,
    lease: &'a Lease,
    keys: SaleKeys,
    staged: SaleKeys,
}

impl FencedWriter<'_> {
    /// A writer for one lease. The names of its temporary keys contain the lease's number, so two holders never share them.
    ///
    /// # Errors
    /// The lease has run out.
    pub(crate) fn new<'a>(redis: &'a RedisStore, lease: &'a Lease, sale_id: i64) -> anyhow::Result<FencedWriter<'a>> {
        let staged = redis.staged_keys(sale_id, lease.number()?);
        Ok(FencedWriter { redis, sale_id, lease, keys: redis.keys(sale_id), staged })
    }

    /// Closes the sale. Returns its epoch in Redis, and the number of its last order.
    pub(crate) async fn close(&self) -> anyhow::Result<(Option<i64>, Option<i64>)> {
        let mut call = CLOSE.key(&self.keys.fence);
        call.key(&self.keys.sale).arg(self.lease.number()?);
        Ok(call.invoke_async(&mut self.redis.of(self.sale_id)).await?)
    }

    /// Writes fields of the sale, to its temporary key.
    pub(crate) async fn sale<V: ToSingleRedisArg + Send + Sync>(&self, fields: &[(&str, V)]) -> RedisResult<()> {
        self.for_a_while(&self.staged.sale, redis::pipe().hset_multiple(&self.staged.sale, fields)).await
    }

    /// Writes the orders that hold a unit (id, buyer, path and request), to a temporary key.
    pub(crate) async fn held(&self, active: &[(OrderId, i64, i64, i64)]) -> RedisResult<()> {
        let one = |&(OrderId(id), buyer, path, request)| (bytes(&[buyer]), bytes(&[id, path, request]));
        self.fields(&self.staged.held, active.iter().map(one).collect()).await
    }

    /// Writes the orders that have ended (id, buyer and request), to a temporary key.
    pub(crate) async fn ended(&self, ended: &[(OrderId, i64, i64)]) -> RedisResult<()> {
        let one = |&(OrderId(id), buyer, request)| (bytes(&[buyer, request]), bytes(&[id]));
        self.fields(&self.staged.ended, ended.iter().map(one).collect()).await
    }

    /// Writes the used paths with their buyers, to a temporary key.
    pub(crate) async fn spent(&self, spent: &[(i64, i64)]) -> RedisResult<()> {
        let spent = spent.iter().map(|&(buyer, path)| bytes(&[buyer, path])).collect();
        self.set(&self.staged.spent, spent).await
    }

    /// Writes the denied buyers, to a temporary key.
    pub(crate) async fn denied(&self, denied: &[i64]) -> RedisResult<()> {
        let denied = denied.iter().map(|&buyer| bytes(&[buyer])).collect();
        self.set(&self.staged.denied, denied).await
    }

    /// Renames all five temporary keys. The sale is the last one, and opens the sale. `expires_at` is in milliseconds since 1970.
    pub(crate) async fn replace(&self, expires_at: i64) -> anyhow::Result<()> {
        let FencedWriter { keys, staged, .. } = self;
        let pairs = [
            [&staged.held, &keys.held],
            [&staged.spent, &keys.spent],
            [&staged.ended, &keys.ended],
            [&staged.denied, &keys.denied],
            [&staged.sale, &keys.sale],
        ];
        self.put(&pairs, expires_at).await
    }

    /// Renames the temporary key of the deny list, and then writes its version. `expires_at` is in milliseconds since 1970.
    pub(crate) async fn replace_denied(&self, denials: i64, expires_at: i64) -> anyhow::Result<()> {
        self.put(&[[&self.staged.denied, &self.keys.denied]], expires_at).await?;
        let mut call = DENIALS.key(&self.keys.fence);
        call.key(&self.keys.sale).arg(self.lease.number()?).arg(denials);
        Ok(call.invoke_async(&mut self.redis.of(self.sale_id)).await?)
    }

    async fn put(&self, pairs: &[[&String; 2]], expires_at: i64) -> anyhow::Result<()> {
        let mut call = REPLACE.key(&self.keys.fence);
        for [staged, key] in pairs {
            call.key(*staged).key(*key);
        }
        call.arg(self.lease.number()?).arg(expires_at);
        Ok(call.invoke_async(&mut self.redis.of(self.sale_id)).await?)
    }

    async fn fields(&self, key: &str, fields: Vec<(Vec<u8>, Vec<u8>)>) -> RedisResult<()> {
        for fields in fields.chunks(BATCH) {
            self.for_a_while(key, redis::pipe().hset_multiple(key, fields)).await?;
        }
        Ok(())
    }

    async fn set(&self, key: &str, members: Vec<Vec<u8>>) -> RedisResult<()> {
        for members in members.chunks(BATCH) {
            self.for_a_while(key, redis::pipe().sadd(key, members)).await?;
        }
        Ok(())
    }

    /// Writes to a temporary key. In the same step the key gets its end: whoever dies between two steps leaves it for good.
    async fn for_a_while(&self, key: &str, write: &mut Pipeline) -> RedisResult<()> {
        let write = write.atomic().ignore().pexpire(key, STAGED.as_millis() as i64).ignore();
        write.query_async(&mut self.redis.of(self.sale_id)).await
    }
}

/// Numbers as the scripts read them: 8 bytes each.
fn bytes(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}
