//! The path of an order, 2 of 5: reserve → **relay** → worker → notify → release.
//! In: entries of the outboxes. Out: messages in the queue; an entry goes when its message is confirmed and not sent back.
//! When it breaks: a relay beats while it lives. What one has read and not done is taken over when it has not beaten for a while;
//! so a reservation may be sent twice, and never not at all. A relay that stops leaves its entries as one that dies does.

/// Redis's side: who has which entry in hand.
pub(crate) mod outbox;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use redis::{AsyncCommands, aio::MultiplexedConnection, streams::StreamReadOptions};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::outbox::{Entry, GROUP, Outbox};
use crate::{
    catalogue::Catalogue,
    order_id::{OrderId, list},
    redis_store::RedisStore,
    supervise,
    transport::{Link, Reservation, Transport, message::Message},
};

/// Entries in one message.
const BATCH: usize = 500;
/// Messages on their way at once.
const IN_FLIGHT: usize = 8;
/// How long a read waits for entries.
const WAITS: Duration = Duration::from_millis(200);
/// How often a relay shows that it lives; several times before it would count as gone.
const BEAT_EVERY: Duration = Duration::from_millis(500);
/// How long Redis may take to answer, the wait included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Carries entries over, again and again, until `stop`.
pub(crate) async fn run(redis: RedisStore, transport: Transport, catalogue: Arc<Catalogue>, stop: CancellationToken) {
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
        // A new name each time: what an earlier run has left is taken over like anybody's.
        let name = format!("{:016x}", fastrand::u64(..));
        Relay { name, transport: transport.clone(), link, redis, connection, outboxes: HashMap::new() }
            .carry(catalogue, stop)
            .await
    })
    .await;
}

struct Relay {
    name: String,
    transport: Transport,
    link: Arc<Link>,
    redis: RedisStore,
    /// Apart from that of all others, because a read waits.
    connection: MultiplexedConnection,
    /// Those that have the relays' group, by sale.
    outboxes: HashMap<i64, Outbox>,
}

impl Relay {
    async fn carry(&mut self, catalogue: &Catalogue, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut in_flight = JoinSet::new();
        let carried = self.carry_until(&mut in_flight, catalogue, stop).await;
        // What we have in hand goes to RabbitMQ also when Redis is away: it may come back without it.
        in_flight.detach_all();
        carried
    }

    /// Nothing in this loop waits for RabbitMQ longer than a read waits for entries: however slow it is, the relay beats.
    async fn carry_until(
        &mut self,
        in_flight: &mut JoinSet<anyhow::Result<()>>,
        catalogue: &Catalogue,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let mut beaten = None::<Instant>;
        while !stop.is_cancelled() || !in_flight.is_empty() {
            self.join_groups(catalogue).await?;
            let room = in_flight.len() < IN_FLIGHT && !stop.is_cancelled();
            if beaten.is_none_or(|at| at.elapsed() >= BEAT_EVERY) {
                beaten = Some(Instant::now());
                for (outbox, entries) in self.beat(room).await? {
                    in_flight.spawn(self.send(outbox, entries));
                }
            }
            if room {
                for (outbox, entries) in self.read().await? {
                    in_flight.spawn(self.send(outbox, entries));
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

    /// Sees to it that the outbox of every sale has our group.
    async fn join_groups(&mut self, catalogue: &Catalogue) -> anyhow::Result<()> {
        let sales = catalogue.all();
        self.outboxes.retain(|sale_id, _| sales.contains_key(sale_id));
        for sale in sales.values().filter(|sale| sale.epoch > 0) {
            if !self.outboxes.contains_key(&sale.id) {
                let outbox = Outbox::new(&self.redis, sale.id, sale.closes_at);
                outbox.join(&mut self.connection).await?;
                self.outboxes.insert(sale.id, outbox);
            }
        }
        Ok(())
    }

    /// Shows at every outbox that we live; takes over what nobody alive has, if there is room for it.
    async fn beat(&mut self, room: bool) -> anyhow::Result<Vec<(Outbox, Vec<Entry>)>> {
        let mut taken = Vec::new();
        for outbox in self.outboxes.values() {
            let entries = outbox.beat(&mut self.connection, &self.name, if room { BATCH } else { 0 }).await?;
            if !entries.is_empty() {
                taken.push((outbox.clone(), entries));
            }
        }
        Ok(taken)
    }

    /// What is new, after a while at most.
    async fn read(&mut self) -> anyhow::Result<Vec<(Outbox, Vec<Entry>)>> {
        if self.outboxes.is_empty() {
            sleep(Duration::from_millis(50)).await;
            return Ok(Vec::new());
        }
        let outboxes: Vec<&Outbox> = self.outboxes.values().collect();
        let keys: Vec<&str> = outboxes.iter().map(|outbox| outbox.key.as_str()).collect();
        let options =
            StreamReadOptions::default().group(GROUP, &self.name).count(BATCH).block(WAITS.as_millis() as usize);
        let new = vec![">"; keys.len()];
        let read: Option<Vec<(String, Vec<Entry>)>> = self.connection.xread_options(&keys, &new, &options).await?;
        let of = |key: String| outboxes.iter().find(|outbox| outbox.key == key).map(|&outbox| outbox.clone());
        let read = read.unwrap_or_default().into_iter();
        Ok(read.filter_map(|(key, entries)| Some((of(key)?, entries))).collect())
    }

    /// Puts entries into the queue and, when RabbitMQ has them, out of the outbox.
    fn send(&self, outbox: Outbox, entries: Vec<Entry>) -> impl Future<Output = anyhow::Result<()>> + use<> {
        let mut redis = self.redis.shared.clone();
        let (link, transport) = (self.link.clone(), self.transport.clone());
        async move {
            let (later, entries): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(Entry::is_later);
            let reservations: Vec<Reservation> = entries.iter().filter_map(|entry| outbox.reservation(entry)).collect();
            if !reservations.is_empty() {
                link.publish(&transport.orders, &Message::reservations(&reservations)?).await?;
            }
            // One that is no reservation is set apart, where an operator finds it, and holds up no other.
            for entry in entries.iter().filter(|entry| outbox.reservation(entry).is_none()) {
                let parked = outbox.describe(entry);
                tracing::error!("no reservation, parked in {}: {parked}", transport.parked);
                link.publish(&transport.parked, &Message::raw(parked.into_bytes())).await?;
                metrics::counter!("outbox_parked_total").increment(1);
            }
            outbox.done(&mut redis, &entries).await?;
            outbox.leave(&mut redis, &later).await?;
            let orders: Vec<OrderId> = reservations.iter().map(|one| one.order_id).collect();
            if !orders.is_empty() {
                tracing::info!(orders = list(&orders), "relayed");
            }
            metrics::counter!("relayed_total").increment(orders.len() as u64);
            Ok(())
        }
    }
}
