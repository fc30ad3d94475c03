use std::{sync::LazyLock, time::Duration};

use anyhow::ensure;
use redis::{
    AsyncCommands, FromRedisValue, ParsingError, RedisResult, Script, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

use crate::{
    order_id::OrderId,
    redis_store::{KEPT_MS, RedisStore, numbers},
    transport::Reservation,
};

/// All relays read as this one group, each entry going to one of them.
pub(super) const GROUP: &str = "relay";
/// Holds the entries of a later format. It never beats, so they are offered again and again, until a relay comes that reads them.
const NOBODY: &str = "later";
/// What an entry's field is called that holds a reservation. The name says the format: `r2` is to be the next one. While a new
/// version comes and the old one goes, relays of both read one outbox.
const FORMAT: &[u8] = b"r";
/// A relay that has not beaten for so long is gone, and others take its entries. Early is better than late: taken from a relay
/// that was only stopped for a while, they are sent twice, which costs nothing.
const GONE_AFTER: Duration = Duration::from_secs(2);

static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));
static DONE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("done.lua")));

/// The outbox of one sale: a stream of reservations that are on their way to the queue.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(super) sale_id: i64,
    pub(crate) key: String,
    /// When the key ends if nothing is in it, in milliseconds since 1970.
    ends_at: i64,
}

impl Outbox {
    pub(crate) fn new(redis: &RedisStore, sale_id: i64, closes_at: i64) -> Outbox {
        Outbox { sale_id, key: redis.keys(sale_id).outbox, ends_at: closes_at + KEPT_MS }
    }

    /// Makes the group of the relays, which a flush removes; if it is there, nothing changes.
    pub(super) async fn join(&self, redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
        let made: RedisResult<()> = redis.xgroup_create_mkstream(&self.key, GROUP, "0").await;
        if let Err(error) = made {
            ensure!(error.code() == Some("BUSYGROUP"), error);
        }
        Ok(self.done(redis, &[]).await?)
    }

    /// Says that this relay lives, and returns at most `most` entries that no living relay has.
    pub(super) async fn beat(
        &self,
        redis: &mut MultiplexedConnection,
        relay: &str,
        most: usize,
    ) -> RedisResult<Vec<Entry>> {
        let mut call = BEAT.key(&self.key);
        call.arg(GROUP).arg(relay).arg(GONE_AFTER.as_millis() as u64).arg(most);
        call.invoke_async(redis).await
    }

    /// Acknowledges and deletes these entries, because what they say is safe elsewhere.
    pub(crate) async fn done(&self, redis: &mut impl ConnectionLike, entries: &[Entry]) -> RedisResult<()> {
        let mut call = DONE.key(&self.key);
        call.arg(GROUP).arg(self.ends_at);
        for entry in entries {
            call.arg(&entry.0);
        }
        call.invoke_async(redis).await
    }

    /// Leaves entries in a later format to a relay that reads them.
    pub(super) async fn leave(&self, redis: &mut impl ConnectionLike, entries: &[Entry]) -> RedisResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        metrics::counter!("outbox_left_total").increment(entries.len() as u64);
        let mut claim = redis::cmd("XCLAIM");
        claim.arg(&self.key).arg(GROUP).arg(NOBODY).arg(0);
        for entry in entries {
            claim.arg(&entry.0);
        }
        claim.arg("JUSTID").query_async(redis).await
    }

    /// What `reserve.lua` has written: order, buyer, path and request, 8 bytes each; the entry's own id begins with the time. `None`
    /// if it is no reservation of this sale.
    pub(crate) fn reservation(&self, entry: &Entry) -> Option<Reservation> {
        let [name, bytes] = entry.1.as_slice() else { return None };
        let [order_id, buyer_id, path, request] = numbers(bytes)?;
        let order_id = OrderId(order_id);
        let reserved_at = entry.written_at()?;
        let is_one = name == FORMAT && order_id.sale_id() == self.sale_id && order_id.epoch() > 0 && buyer_id > 0;
        is_one.then_some(Reservation { order_id, buyer_id, reserved_at, path, request })
    }

    /// An entry as an operator reads it.
    pub(super) fn describe(&self, Entry(id, fields): &Entry) -> String {
        let fields: Vec<String> = fields.iter().map(|field| field.escape_ascii().to_string()).collect();
        serde_json::json!({ "outbox": self.key, "entry": id, "fields": fields }).to_string()
    }
}

/// An entry of a stream: its id, and names and values of its fields in turn. Anybody can have written it, in bytes that are no text.
#[derive(Debug, Clone)]
pub(crate) struct Entry(String, Vec<Vec<u8>>);

impl Entry {
    pub(crate) fn id(&self) -> &str {
        &self.0
    }

    /// When it was written, in milliseconds since 1970 by Redis's clock; `None` if whoever wrote it chose another id.
    pub(crate) fn written_at(&self) -> Option<i64> {
        self.0.split('-').next()?.parse().ok()
    }

    /// Whether a newer version has written it.
    pub(super) fn is_later(&self) -> bool {
        let number = self.1.first().and_then(|name| name.strip_prefix(FORMAT));
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    }
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Entry, ParsingError> {
        let (id, fields) = redis::from_redis_value(value)?;
        Ok(Entry(id, fields))
    }
}
