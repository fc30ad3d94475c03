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

/// The consumer group of all relays. Each entry goes to one of them.
pub(super) const GROUP: &str = "relay";
/// The consumer that entries of a later format are assigned to. It sends no heartbeat, so they are offered again and again, until a
/// newer relay reads them.
const NOBODY: &str = "later";
/// The names of the field with the reservations, which stand for its format: `r` has one reservation, `r2` has all of a call of
/// `reserve.lua`. The next format is to be `r3`. During a deployment, relays of two versions read the same outbox.
const FORMATS: [&[u8]; 2] = [b"r", b"r2"];
/// The bytes of a reservation in an entry.
const EACH: usize = 32;
/// After this time without a heartbeat, other relays take over the entries. Early is better than late: if the relay was only slow,
/// its entries are sent twice, which does no harm.
const GONE_AFTER: Duration = Duration::from_secs(2);

static BEAT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("beat.lua")));
static DONE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("done.lua")));

/// The outbox of one sale: a stream of reservations that are not in the queue yet.
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    pub(super) sale_id: i64,
    pub(crate) key: String,
    /// When an empty outbox expires, in milliseconds since 1970.
    ends_at: i64,
}

impl Outbox {
    /// The outbox of a sale. `closes_at` is in milliseconds since 1970.
    pub(crate) fn new(redis: &RedisStore, sale_id: i64, closes_at: i64) -> Outbox {
        Outbox { sale_id, key: redis.keys(sale_id).outbox, ends_at: closes_at + KEPT_MS }
    }

    /// Creates the relays' consumer group, unless it exists. A flush of Redis removes it.
    pub(super) async fn join(&self, redis: &mut MultiplexedConnection) -> anyhow::Result<()> {
        let made: RedisResult<()> = redis.xgroup_create_mkstream(&self.key, GROUP, "0").await;
        if let Err(error) = made {
            ensure!(error.code() == Some("BUSYGROUP"), error);
        }
        Ok(self.done(redis, &[]).await?)
    }

    /// Sends a heartbeat of this relay, and takes over at most `most` entries of relays without one.
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

    /// Acknowledges and deletes entries whose content is safe elsewhere, in one step.
    pub(crate) async fn done(&self, redis: &mut impl ConnectionLike, entries: &[Entry]) -> RedisResult<()> {
        let mut call = DONE.key(&self.key);
        call.arg(GROUP).arg(self.ends_at);
        for entry in entries {
            call.arg(&entry.0);
        }
        call.invoke_async(redis).await
    }

    /// Leaves entries of a later format to newer relays.
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

    /// The reservations in an entry, as `reserve.lua` writes them: order, buyer, path and request, 8 bytes each. The entry's own id
    /// begins with the time. `None` if it does not consist of reservations of this sale.
    pub(crate) fn reservations(&self, entry: &Entry) -> Option<Vec<Reservation>> {
        let [name, bytes] = entry.1.as_slice() else { return None };
        let (each, []) = bytes.as_chunks::<EACH>() else { return None };
        let reserved_at = entry.written_at()?;
        let is_known = FORMATS.contains(&name.as_slice()) && !each.is_empty();
        is_known.then(|| each.iter().map(|bytes| self.reservation(bytes, reserved_at)).collect())?
    }

    fn reservation(&self, bytes: &[u8; EACH], reserved_at: i64) -> Option<Reservation> {
        let [order_id, buyer_id, path, request] = numbers(bytes)?;
        let order_id = OrderId(order_id);
        let is_one = order_id.sale_id() == self.sale_id && order_id.epoch() > 0 && buyer_id > 0;
        is_one.then_some(Reservation { order_id, buyer_id, reserved_at, path, request })
    }

    /// An entry as JSON, for operators.
    pub(super) fn describe(&self, Entry(id, fields): &Entry) -> String {
        let fields: Vec<String> = fields.iter().map(|field| field.escape_ascii().to_string()).collect();
        serde_json::json!({ "outbox": self.key, "entry": id, "fields": fields }).to_string()
    }
}

/// An entry of a stream: its id, and the names and values of its fields in turn. It may contain any bytes.
#[derive(Debug, Clone)]
pub(crate) struct Entry(String, Vec<Vec<u8>>);

impl Entry {
    /// The id of the entry in its stream.
    pub(crate) fn id(&self) -> &str {
        &self.0
    }

    /// When the entry was written, in milliseconds since 1970 by Redis's clock; `None` if its id is not made by Redis.
    pub(crate) fn written_at(&self) -> Option<i64> {
        self.0.split('-').next()?.parse().ok()
    }

    /// Whether the entry has a later format, of a newer version.
    pub(super) fn is_later(&self) -> bool {
        let name = self.1.first().filter(|name| !FORMATS.contains(&name.as_slice()));
        let number = name.and_then(|name| name.strip_prefix(b"r"));
        number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    }
}

impl FromRedisValue for Entry {
    fn from_redis_value(value: Value) -> Result<Entry, ParsingError> {
        let (id, fields) = redis::from_redis_value(value)?;
        Ok(Entry(id, fields))
    }
}
