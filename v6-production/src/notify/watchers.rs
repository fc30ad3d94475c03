use std::{collections::BTreeMap, ops::RangeInclusive, sync::Mutex, time::Duration};

use sqlx::PgPool;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    order_id::OrderId,
    orders::record::{Standing, recorded},
    redis_store::RedisStore,
    shop::Buyer,
    supervise,
};

/// How often SQL is asked about all watched orders of this process.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most watched orders of one process. Further clients have to poll.
const MOST: usize = 20_000;
/// The most WebSockets for one order.
const MOST_EACH: usize = 8;

/// The orders that clients of this process wait for, by id and buyer, so that a buyer hears only of their own order.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<(OrderId, i64), News>>);

/// Sends where an order stands; `None` before the first news.
type News = watch::Sender<Option<Standing>>;

impl Watchers {
    /// Subscribes to news of this buyer's order; `None` if there are too many watched orders, or too many clients for this one.
    pub(super) fn subscribe(&self, order_id: OrderId, buyer: Buyer) -> Option<watch::Receiver<Option<Standing>>> {
        let key = (order_id, buyer.id);
        let mut orders = self.0.lock().ok()?;
        if orders.len() >= MOST {
            orders.retain(|_, standing| standing.receiver_count() > 0);
        }
        if orders.len() >= MOST && !orders.contains_key(&key) {
            return None;
        }
        let order = orders.entry(key).or_insert_with(|| watch::Sender::new(None));
        (order.receiver_count() < MOST_EACH).then(|| order.subscribe())
    }

    /// The orders among `named` that a client still waits for; with `None`, all watched orders.
    fn awaited(&self, named: Option<&[OrderId]>) -> Vec<OrderId> {
        let Ok(mut orders) = self.0.lock() else { return Vec::new() };
        orders.retain(|_, standing| standing.receiver_count() > 0);
        match named {
            Some(named) => named.iter().copied().filter(|&id| orders.range(of(id)).next().is_some()).collect(),
            None => orders.keys().map(|(id, _)| *id).collect(),
        }
    }

    /// Reads these orders from SQL, and sends what has changed to the clients.
    async fn look(&self, sql: &PgPool, awaited: Vec<OrderId>) -> anyhow::Result<()> {
        if awaited.is_empty() {
            return Ok(());
        }
        let found = recorded(sql, &awaited).await?;
        if let Ok(orders) = self.0.lock() {
            for order in found {
                for (_, sender) in orders.range(of(order.id)).filter(|((_, buyer_id), _)| order.is_of(*buyer_id)) {
                    let standing = Some(order.standing.clone());
                    sender.send_if_modified(|known| std::mem::replace(known, standing.clone()) != standing);
                }
            }
        }
        Ok(())
    }

    /// Listens for changed orders, until `stop`.
    pub(crate) async fn listen(&self, redis: &RedisStore, sql: &PgPool, stop: &CancellationToken) {
        let channel = &redis.channel("orders");
        let listen = || async move {
            let mut listener = redis.listen(channel).await?;
            while let Some(message) = stop.run_until_cancelled(listener.next()).await {
                let ids: Vec<OrderId> = serde_json::from_slice(message?.get_payload_bytes())?;
                self.look(sql, self.awaited(Some(&ids))).await?;
            }
            Ok(())
        };
        supervise::keep("news of orders", stop, listen).await;
    }

    /// Looks for changes whose message was lost, until `stop`.
    pub(crate) async fn look_up(&self, sql: &PgPool, stop: &CancellationToken) {
        let look = || async move {
            let _ = stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
            self.look(sql, self.awaited(None)).await
        };
        supervise::keep("awaited orders", stop, look).await;
    }
}

/// The keys of one order, for all buyers.
fn of(order_id: OrderId) -> RangeInclusive<(OrderId, i64)> {
    (order_id, i64::MIN)..=(order_id, i64::MAX)
}
