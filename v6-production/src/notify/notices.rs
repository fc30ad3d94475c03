use std::time::Duration;

use redis::AsyncCommands;

use crate::{order_id::OrderId, redis_store::RedisStore};

/// How long Redis remembers that a mark has come back.
const MARKED: Duration = Duration::from_secs(60);

/// Tells all instances which orders have changed.
#[derive(Clone)]
pub(crate) struct Notices(pub(crate) RedisStore);

impl Notices {
    /// Publishes the ids of changed orders. Best effort: an instance that misses the message finds the change in SQL.
    pub(crate) async fn orders(&self, orders: &[OrderId]) {
        if orders.is_empty() {
            return;
        }
        let Ok(ids) = serde_json::to_string(orders) else { return };
        if let Err(error) = self.0.publish(&self.0.channel("orders"), ids).await {
            tracing::debug!("notify: {error}");
        }
    }

    /// Notes that these marks have passed the queue. The process that published them waits for this.
    pub(crate) async fn marks(&self, marks: &[String]) {
        for name in marks {
            let mark = self.0.mark(name);
            let told: redis::RedisResult<()> = self.0.with(&mark).set_ex(&mark, 1, MARKED.as_secs()).await;
            if let Err(error) = told {
                tracing::debug!("mark {name}: {error}"); // the mark is sent again
            }
        }
    }
}
