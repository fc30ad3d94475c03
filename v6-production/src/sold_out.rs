//! The filter in front of Redis: sales of which this process has heard that nothing is left. It is a hint. It lapses after
//! a second, so that a lost message costs a second and no unit.
//!
//! It is asked before everything else, also before who is asking: a no to all is the cheapest answer there is, and in a stampede
//! nearly the only one. What it costs, everybody behind it in line waits for, buyers of other sales as well.

use std::{
    collections::HashMap,
    sync::RwLock,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::{redis_store::RedisStore, supervise};

/// How long it is believed.
const LAPSES: Duration = Duration::from_secs(1);

/// Sales that are sold out, as far as this process knows.
#[derive(Default)]
pub(crate) struct SoldOut(RwLock<HashMap<i64, Instant>>);

impl SoldOut {
    pub(crate) fn is(&self, sale_id: i64) -> bool {
        self.0.read().is_ok_and(|sales| sales.get(&sale_id).is_some_and(|since| since.elapsed() < LAPSES))
    }

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

    /// Hears from all instances which sale is sold out, and which has units again.
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
