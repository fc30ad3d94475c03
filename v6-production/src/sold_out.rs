//! The local flag of sold-out sales. When the last unit is sold, `reserve.lua` publishes `sold-out`, and each instance refuses
//! purchases of this sale by itself for one second. It is a hint: if a message is lost, the instance asks Redis again, and no unit
//! is lost.

use std::{
    collections::HashMap,
    sync::RwLock,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{redis_store::RedisStore, supervise};

/// How long the flag is valid.
const LAPSES: Duration = Duration::from_secs(1);

/// The sold-out sales, and when the flag of each was set.
#[derive(Default)]
pub(crate) struct SoldOut(RwLock<HashMap<i64, Instant>>);

impl SoldOut {
    /// Whether the flag of this sale is set and valid.
    pub(crate) fn is(&self, sale_id: i64) -> bool {
        self.0.read().is_ok_and(|sales| sales.get(&sale_id).is_some_and(|since| since.elapsed() < LAPSES))
    }

    /// Sets the flag of this sale for one second.
    pub(crate) fn set(&self, sale_id: i64) {
        if let Ok(mut sales) = self.0.write() {
            sales.insert(sale_id, Instant::now());
        }
    }

    fn clear(&self, sale_id: i64) {
        if let Ok(mut sales) = self.0.write() {
            sales.remove(&sale_id);
        }
    }

    /// Listens for sales that are sold out or have units again, until `stop`.
    pub(crate) async fn listen(&self, redis: &RedisStore, stop: &CancellationToken) {
        let channel = &redis.channel("stock");
        let listen = || async move {
            let mut listener = redis.listen(channel).await?;
            while let Some(message) = stop.run_until_cancelled(listener.next()).await {
                let text: String = message?.get_payload()?;
                match text.split_once(' ').map(|(what, sale)| (what, sale.parse())) {
                    Some(("sold-out", Ok(sale_id))) => self.set(sale_id),
                    Some(("restocked", Ok(sale_id))) => self.clear(sale_id),
                    _ => tracing::warn!("strange news of stock: {text}"),
                }
            }
            Ok(())
        };
        supervise::keep("news of stock", stop, listen).await;
    }
}
