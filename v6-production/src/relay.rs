//! The path of an order, 2 of 5: reserve → **relay** → worker → notify → release.
//! In: entries of the outboxes. Out: messages in the queue; an entry goes when its message is confirmed and not sent back.
//! When it breaks: what was read and not done is read again, by this relay or, after a while, by another; so a reservation
//! may be sent twice, and never not at all.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use redis::{
    AsyncCommands, RedisResult,
    aio::MultiplexedConnection,
    streams::{StreamAutoClaimReply, StreamId, StreamReadOptions, StreamReadReply},
};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    catalogue::Catalogue,
    observe::list,
    order_id::OrderId,
    redis_store::{RedisStore, SaleKeys, numbers},
    supervise,
    transport::{Link, Reservation, Transport, write},
};

/// All relays read as this one group, each entry going to one of them.
const GROUP: &str = "relay";
/// Entries in one message.
const BATCH: usize = 500;
/// Messages on their way at once.
const IN_FLIGHT: usize = 8;
/// How long a read waits for entries.
const WAITS: Duration = Duration::from_millis(200);
/// How often a relay looks for entries that another one has read and never done, and after what time they count as such. Early
/// is better than late: taken from a relay that is only slow, they are sent twice, which costs nothing.
const CLAIM_EVERY: Duration = Duration::from_millis(500);
const CLAIM_AFTER: Duration = Duration::from_secs(2);
/// How long Redis may take to answer, the wait included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Carries entries over, again and again, until `stop`.
pub(crate) async fn run(redis: RedisStore, transport: Transport, catalogue: Arc<Catalogue>, stop: CancellationToken) {
    let name = &format!("{:016x}", fastrand::u64(..));
    let (redis, transport, catalogue, stop) = (&redis, &transport, &catalogue, &stop);
    let kept: &Mutex<Option<Arc<Link>>> = &Mutex::new(None);
    supervise::keep("relay", stop, || async move {
        let mut link = kept.lock().await;
        // One that is blocked cannot be closed: it is the one to wait on.
        if !link.as_ref().is_some_and(|link| link.is_blocked()) {
            *link = Some(Arc::new(transport.connect().await?));
        }
        let link = link.clone().context("no link")?;
        let redis = redis.clone();
        let connection = redis.own_connection(PATIENCE).await.context("Redis")?;
        let mut relay = Relay { name, queue: &transport.orders, link, redis, connection, groups: HashMap::new() };
        relay.carry(catalogue, stop).await
    })
    .await;
}

struct Relay<'a> {
    name: &'a str,
    queue: &'a str,
    link: Arc<Link>,
    redis: RedisStore,
    connection: MultiplexedConnection,
    /// The sales whose outbox has our group.
    groups: HashMap<i64, SaleKeys>,
}

impl Relay<'_> {
    async fn carry(&mut self, catalogue: &Catalogue, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut in_flight: JoinSet<anyhow::Result<()>> = JoinSet::new();
        // What we have read before and not done, then what is new.
        let mut from = "0";
        let mut claimed = Instant::now();
        while !stop.is_cancelled() {
            // What has failed is noticed at once: the link may be of no use any more.
            while let Some(sent) = in_flight.try_join_next() {
                sent??;
            }
            self.join_groups(catalogue).await?;
            if self.groups.is_empty() {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            if claimed.elapsed() >= CLAIM_EVERY {
                claimed = Instant::now();
                for (sale_id, entries) in self.claim().await? {
                    in_flight.spawn(self.send(sale_id, entries));
                }
            }
            let read = self.read(from).await?;
            if from == "0" && read.iter().all(|(_, entries)| entries.is_empty()) {
                from = ">";
            }
            for (sale_id, entries) in read.into_iter().filter(|(_, entries)| !entries.is_empty()) {
                in_flight.spawn(self.send(sale_id, entries));
            }
            // What was read before has to be done before it is asked for again.
            let room = if from == "0" { 0 } else { IN_FLIGHT };
            while in_flight.len() > room {
                in_flight.join_next().await.transpose()?.transpose()?;
            }
        }
        while in_flight.join_next().await.transpose()?.transpose()?.is_some() {}
        // A name without entries would stay in the group for ever.
        for keys in self.groups.values() {
            let mut leave = redis::cmd("XGROUP");
            leave.arg("DELCONSUMER").arg(&keys.outbox).arg(GROUP).arg(self.name);
            let _: RedisResult<i64> = leave.query_async(&mut self.connection.clone()).await;
        }
        Ok(())
    }

    /// Sees to it that the outbox of every sale has our group, which a flush takes along.
    async fn join_groups(&mut self, catalogue: &Catalogue) -> anyhow::Result<()> {
        let sales = catalogue.all();
        self.groups.retain(|sale_id, _| sales.contains_key(sale_id));
        for sale in sales.values().filter(|sale| sale.epoch > 0) {
            if !self.groups.contains_key(&sale.id) {
                let keys = self.redis.keys(sale.id);
                let made: RedisResult<()> = self.connection.xgroup_create_mkstream(&keys.outbox, GROUP, "0").await;
                if let Err(error) = made {
                    ensure!(error.code() == Some("BUSYGROUP"), error);
                }
                self.groups.insert(sale.id, keys);
            }
        }
        Ok(())
    }

    async fn read(&self, from: &str) -> anyhow::Result<Vec<(i64, Vec<StreamId>)>> {
        let (sales, outboxes): (Vec<_>, Vec<_>) =
            self.groups.iter().map(|(sale_id, keys)| (*sale_id, keys.outbox.as_str())).unzip();
        let from = vec![from; sales.len()];
        let options =
            StreamReadOptions::default().group(GROUP, self.name).count(BATCH).block(WAITS.as_millis() as usize);
        let reply: Option<StreamReadReply> = self.connection.clone().xread_options(&outboxes, &from, &options).await?;
        let keys = reply.map(|reply| reply.keys).unwrap_or_default();
        let sale_of = |key: &str| outboxes.iter().position(|outbox| *outbox == key).map(|n| sales[n]);
        Ok(keys.into_iter().filter_map(|stream| Some((sale_of(&stream.key)?, stream.ids))).collect())
    }

    /// Takes over what another relay has read, and is not going to do any more.
    async fn claim(&self) -> anyhow::Result<Vec<(i64, Vec<StreamId>)>> {
        let mut claimed = Vec::new();
        for (sale_id, keys) in &self.groups {
            let mut claim = redis::cmd("XAUTOCLAIM");
            claim.arg(&keys.outbox).arg(GROUP).arg(self.name).arg(CLAIM_AFTER.as_millis() as u64).arg("0-0");
            let reply: StreamAutoClaimReply =
                claim.arg("COUNT").arg(BATCH).query_async(&mut self.connection.clone()).await?;
            if !reply.claimed.is_empty() {
                claimed.push((*sale_id, reply.claimed));
            }
        }
        Ok(claimed)
    }

    /// Puts entries into the queue and, when RabbitMQ has them, out of the outbox.
    fn send(&self, sale_id: i64, entries: Vec<StreamId>) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let outbox = self.groups.get(&sale_id).map(|keys| keys.outbox.clone());
        let mut redis = self.redis.shared.clone();
        let (link, queue) = (self.link.clone(), self.queue.to_owned());
        async move {
            let outbox = outbox.context("an outbox of no sale")?;
            let reservations: Vec<_> = entries.iter().filter_map(reservation).collect();
            ensure!(reservations.len() == entries.len(), "{outbox} has entries that are no reservations");
            link.publish(&queue, &write(&reservations)?).await?;
            let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
            redis::pipe().xack(&outbox, GROUP, &ids).xdel(&outbox, &ids).query_async::<()>(&mut redis).await?;
            let orders: Vec<OrderId> = reservations.iter().map(|one| one.order_id).collect();
            tracing::info!(orders = list(&orders), "relayed");
            metrics::counter!("relayed_total").increment(ids.len() as u64);
            Ok(())
        }
    }
}

/// What `reserve.lua` has written: order, buyer, path and request, 8 bytes each. The entry's own id begins with the time.
pub(crate) fn reservation(entry: &StreamId) -> Option<Reservation> {
    let bytes: Vec<u8> = entry.get("r")?;
    let [order_id, buyer_id, path, request] = numbers(&bytes)?;
    let reserved_at = entry.id.split('-').next()?.parse().ok()?;
    Some(Reservation { order_id: OrderId(order_id), buyer_id, reserved_at, path, request })
}
