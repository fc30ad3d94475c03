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

/// How often SQL is asked about all orders that somebody waits for here.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Orders that are waited for in one process, and WebSockets for each: who is beyond them polls.
const MOST: usize = 20_000;
const MOST_EACH: usize = 8;

/// The orders that somebody waits for in this process, by number and buyer: what is told to one is not for another.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<BTreeMap<(OrderId, i64), News>>);

/// Where an order stands, if that was told already.
type News = watch::Sender<Option<Standing>>;

impl Watchers {
    /// From now on, hears of this buyer's order; `None` if there are too many already, here or at this one.
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

    /// Those of `orders` that somebody still waits for; of all, if none are named.
    fn awaited(&self, named: Option<&[OrderId]>) -> Vec<OrderId> {
        let Ok(mut orders) = self.0.lock() else { return Vec::new() };
        orders.retain(|_, standing| standing.receiver_count() > 0);
        match named {
            Some(named) => named.iter().copied().filter(|&id| orders.range(of(id)).next().is_some()).collect(),
            None => orders.keys().map(|(id, _)| *id).collect(),
        }
    }

    /// Passes on what SQL says of these.
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

    /// Passes on what is told.
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

    /// Finds out what was told while nobody listened.
    pub(crate) async fn look_up(&self, sql: &PgPool, stop: &CancellationToken) {
        let look = || async move {
            let _ = stop.run_until_cancelled(sleep(LOOK_EVERY)).await;
            self.look(sql, self.awaited(None)).await
        };
        supervise::keep("awaited orders", stop, look).await;
    }
}

/// The keys of one number, whoever waits.
fn of(order_id: OrderId) -> RangeInclusive<(OrderId, i64)> {
    (order_id, i64::MIN)..=(order_id, i64::MAX)
}
