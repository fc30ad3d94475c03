use std::time::Duration;

use redis::AsyncCommands;

use crate::{order_id::OrderId, redis_store::RedisStore};

/// How long it is known that a mark has come back.
const MARKED: Duration = Duration::from_secs(60);

/// Tells all instances what became of orders.
#[derive(Clone)]
pub(crate) struct Notices(pub(crate) RedisStore);

impl Notices {
    /// Best effort: whoever misses it looks into SQL.
    pub(crate) async fn orders(&self, orders: &[OrderId]) {
        if orders.is_empty() {
            return;
        }
        let Ok(ids) = serde_json::to_string(orders) else { return };
        let told: redis::RedisResult<i64> = self.0.shared.clone().publish(self.0.channel("orders"), ids).await;
        if let Err(error) = told {
            tracing::debug!("notify: {error}");
        }
    }

    /// Whoever has put these marks into the queue waits for them.
    pub(crate) async fn marks(&self, marks: &[String]) {
        for name in marks {
            let told: redis::RedisResult<()> =
                self.0.shared.clone().set_ex(self.0.mark(name), 1, MARKED.as_secs()).await;
            if let Err(error) = told {
                tracing::debug!("mark {name}: {error}"); // it comes again
            }
        }
    }
}
