//! The path of an order, 2 of 5: reserve → **relay** → worker → notify → release.
//! In: entries of the outboxes. Out: messages in the queue. An entry is deleted when its message is confirmed and not returned.
//! In a Redis Cluster each primary has its own relay.
//! When it breaks: a relay sends heartbeats. When they stop, other relays take over the entries that it has read and not finished.
//! So a reservation may be sent twice, but it is never lost. A relay that is stopped leaves its entries in the same way.

/// The outbox of a sale, as a Redis stream.
pub(crate) mod outbox;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use futures_util::future::{try_join, try_join_all};
use redis::{AsyncCommands, RedisResult, aio::MultiplexedConnection, streams::StreamReadOptions};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use self::outbox::{Entry, GROUP, Outbox};
use crate::{
    catalogue::Catalogue,
    order_id::{OrderId, list},
    redis_store::{RedisStore, SharedConnection},
    supervise,
    transport::{Link, Reservation, Transport, message::Message},
};

/// The most reservations in one message.
const BATCH: usize = 500;
/// The most entries of an outbox in one read.
const ENTRIES: usize = 500;
/// The most reads whose messages wait for a confirmation.
const IN_FLIGHT: usize = 8;
/// How long entries collect after a read that has found some. The first entry after a pause is sent at once.
const LINGER: Duration = Duration::from_millis(10);
/// How long a read waits for entries.
const WAITS: Duration = Duration::from_millis(200);
/// How often a relay of a cluster looks into several empty outboxes.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often a relay sends a heartbeat: several times within `GONE_AFTER`.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// How long Redis may take to answer, including the wait for entries.
const PATIENCE: Duration = Duration::from_secs(5);

/// Moves entries from the outboxes to the queue, until `stop`. Each primary of Redis has a relay of its own, because a read that
/// waits for entries waits at one server.
pub(crate) async fn run(redis: RedisStore, transport: Transport, catalogue: Arc<Catalogue>, stop: CancellationToken) {
    let (mut changed, mut relays) = (redis.changed(), JoinSet::new());
    let mut running: Vec<(SharedConnection, CancellationToken)> = Vec::new();
    while !stop.is_cancelled() {
        let shards = redis.shards();
        running.retain(|(shard, its_stop)| {
            let stays = shards.contains(shard);
            if !stays {
                its_stop.cancel();
            }
            stays
        });
        for shard in shards {
            if !running.iter().any(|(other, _)| *other == shard) {
                let its_stop = stop.child_token();
                running.push((shard.clone(), its_stop.clone()));
                relays.spawn(run_at(shard, redis.clone(), transport.clone(), catalogue.clone(), its_stop));
            }
        }
        let _ = stop.run_until_cancelled(changed.changed()).await;
    }
    relays.join_all().await;
}

/// Moves the entries of one primary.
async fn run_at(
    shard: SharedConnection,
    redis: RedisStore,
    transport: Transport,
    catalogue: Arc<Catalogue>,
    stop: CancellationToken,
) {
    let (shard, redis, transport, catalogue, stop) = (&shard, &redis, &transport, &catalogue, &stop);
    let kept: &Mutex<Option<Arc<Link>>> = &Mutex::new(None);
    let task = if redis.is_cluster() { format!("relay of {shard}") } else { "relay".to_owned() };
    supervise::keep(&task, stop, || async move {
        let mut link = kept.lock().await;
        // A blocked connection cannot be closed, so it is kept.
        if !link.as_ref().is_some_and(|link| link.is_blocked()) {
            *link = Some(Arc::new(transport.connect().await?));
        }
        let link = link.clone().context("no link")?;
        let connection = shard.own(PATIENCE).await.context("Redis")?;
        // A new name each time: entries of an earlier run are taken over like those of another relay.
        let name = format!("{:016x}", fastrand::u64(..));
        let (shard, redis, transport) = (shard.clone(), redis.clone(), transport.clone());
        let mut relay = Relay { name, transport, link, redis, shard, connection, outboxes: HashMap::new() };
        // Another primary may have a sale of this one now.
        relay.carry(catalogue, stop).await.inspect_err(|_| relay.redis.doubt())
    })
    .await;
}

/// Entries of one outbox.
type Load = (Outbox, Vec<Entry>);

struct Relay {
    name: String,
    transport: Transport,
    link: Arc<Link>,
    redis: RedisStore,
    /// The primary whose outboxes it reads.
    shard: SharedConnection,
    /// A connection of its own to it, because reads block.
    connection: MultiplexedConnection,
    /// The outboxes of this primary that have the relays' consumer group, by sale.
    outboxes: HashMap<i64, Outbox>,
}

impl Relay {
    async fn carry(&mut self, catalogue: &Catalogue, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut in_flight = JoinSet::new();
        let carried = self.carry_until(&mut in_flight, catalogue, stop).await;
        // Messages under way go on to RabbitMQ also if Redis has failed, because Redis may come back without these entries.
        in_flight.detach_all();
        carried
    }

    /// This loop never waits for RabbitMQ longer than for entries, so a slow RabbitMQ does not delay the heartbeats.
    async fn carry_until(
        &mut self,
        in_flight: &mut JoinSet<anyhow::Result<()>>,
        catalogue: &Catalogue,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let (mut beaten, mut next_read) = (None::<Instant>, Instant::now());
        while !stop.is_cancelled() || !in_flight.is_empty() {
            self.join_groups(catalogue).await?;
            let room = in_flight.len() < IN_FLIGHT && !stop.is_cancelled();
            if beaten.is_none_or(|at| at.elapsed() >= BEAT_EVERY) {
                beaten = Some(Instant::now());
                let taken = self.beat(room).await?;
                if !taken.is_empty() {
                    in_flight.spawn(self.send(taken));
                }
            }
            if room {
                // Larger messages cost RabbitMQ and PostgreSQL less, so entries collect (group commit).
                sleep_until(next_read).await;
                let read = self.read().await?;
                let is_behind = read.iter().any(|(_, entries)| entries.len() == ENTRIES);
                if !read.is_empty() {
                    next_read = Instant::now() + if is_behind { Duration::ZERO } else { LINGER };
                    in_flight.spawn(self.send(read));
                }
            } else if let Ok(Some(sent)) = timeout(WAITS, in_flight.join_next()).await {
                sent??;
            }
            while let Some(sent) = in_flight.try_join_next() {
                sent??;
            }
        }
        Ok(())
    }

    /// Creates the relays' consumer group for the outbox of every sale of this primary.
    async fn join_groups(&mut self, catalogue: &Catalogue) -> anyhow::Result<()> {
        let sales = catalogue.all();
        let is_here = |sale_id| self.redis.of(sale_id) == self.shard;
        self.outboxes.retain(|sale_id, _| sales.contains_key(sale_id) && is_here(*sale_id));
        for sale in sales.values().filter(|sale| sale.epoch > 0 && is_here(sale.id)) {
            if !self.outboxes.contains_key(&sale.id) {
                let outbox = Outbox::new(&self.redis, sale.id, sale.closes_at);
                outbox.join(&mut self.connection).await?;
                self.outboxes.insert(sale.id, outbox);
            }
        }
        Ok(())
    }

    /// Sends a heartbeat to every outbox. If there is room, it also takes over entries of relays without a heartbeat.
    async fn beat(&mut self, room: bool) -> anyhow::Result<Vec<Load>> {
        let mut taken = Vec::new();
        for outbox in self.outboxes.values() {
            let entries = outbox.beat(&mut self.connection, &self.name, if room { ENTRIES } else { 0 }).await?;
            if !entries.is_empty() {
                taken.push((outbox.clone(), entries));
            }
        }
        Ok(taken)
    }

    /// Reads new entries, and waits for them at most `WAITS`.
    async fn read(&mut self) -> anyhow::Result<Vec<Load>> {
        let outboxes: Vec<Outbox> = self.outboxes.values().cloned().collect();
        match outboxes.len() {
            0 => {
                sleep(Duration::from_millis(50)).await;
                Ok(Vec::new())
            }
            1 => Ok(self.read_from(&outboxes, Some(WAITS)).await?),
            _ if !self.redis.is_cluster() => Ok(self.read_from(&outboxes, Some(WAITS)).await?),
            // One command of a cluster may not read from two slots, and so it cannot wait for all of these.
            _ => {
                let mut read = Vec::new();
                for outbox in outboxes.chunks(1) {
                    read.extend(self.read_from(outbox, None).await?);
                }
                if read.is_empty() {
                    sleep(LOOK_EVERY).await;
                }
                Ok(read)
            }
        }
    }

    async fn read_from(&mut self, outboxes: &[Outbox], waits: Option<Duration>) -> RedisResult<Vec<Load>> {
        let keys: Vec<&str> = outboxes.iter().map(|outbox| outbox.key.as_str()).collect();
        let options = StreamReadOptions::default().group(GROUP, &self.name).count(ENTRIES);
        let options = match waits {
            Some(waits) => options.block(waits.as_millis() as usize),
            None => options,
        };
        let new = vec![">"; keys.len()];
        let read: Option<Vec<(String, Vec<Entry>)>> = self.connection.xread_options(&keys, &new, &options).await?;
        let of = |key: String| outboxes.iter().find(|outbox| outbox.key == key).cloned();
        let read = read.unwrap_or_default().into_iter();
        Ok(read.filter_map(|(key, entries)| Some((of(key)?, entries))).collect())
    }

    /// Publishes entries, those of all sales together, and deletes them from the outboxes when RabbitMQ has confirmed them.
    fn send(&self, loads: Vec<Load>) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let (redis, link, transport) = (self.redis.clone(), self.link.clone(), self.transport.clone());
        async move {
            let (mut sent, mut left, mut reservations) = (Vec::new(), Vec::new(), Vec::new());
            for (outbox, entries) in loads {
                let (later, entries): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(Entry::is_later);
                for entry in &entries {
                    match outbox.reservations(entry) {
                        Some(some) => reservations.extend(some),
                        None => park(&link, &transport, outbox.describe(entry)).await?,
                    }
                }
                left.push((outbox.clone(), later));
                sent.push((outbox, entries));
            }
            let messages = reservations.chunks(BATCH).map(|some| publish(&link, &transport, some));
            try_join_all(messages).await?;
            let done = try_join_all(
                sent.iter().map(async |(outbox, entries)| outbox.done(&mut redis.of(outbox.sale_id), entries).await),
            );
            let leave = try_join_all(
                left.iter().map(async |(outbox, later)| outbox.leave(&mut redis.of(outbox.sale_id), later).await),
            );
            try_join(done, leave).await?;
            let orders: Vec<OrderId> = reservations.iter().map(|one| one.order_id).collect();
            if !orders.is_empty() {
                tracing::info!(orders = list(&orders), "relayed");
            }
            metrics::counter!("relayed_total").increment(orders.len() as u64);
            Ok(())
        }
    }
}

async fn publish(link: &Link, transport: &Transport, reservations: &[Reservation]) -> anyhow::Result<()> {
    link.publish(&transport.orders, &Message::reservations(reservations)?).await
}

/// Parks an entry that has no reservations for an operator, so that it does not delay the others.
async fn park(link: &Link, transport: &Transport, entry: String) -> anyhow::Result<()> {
    tracing::error!("no reservation, parked in {}: {entry}", transport.parked);
    link.publish(&transport.parked, &Message::raw(entry.into_bytes())).await?;
    metrics::counter!("outbox_parked_total").increment(1);
    Ok(())
}
