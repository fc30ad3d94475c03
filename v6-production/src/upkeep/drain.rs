use std::time::{Duration, Instant};

use redis::AsyncCommands;
use tokio::time::{sleep, timeout};

use super::{A_MOMENT, Upkeep};
use crate::transport::{Link, message::Message};

/// How long draining may take, including the wait for RabbitMQ. After Redis has lost its data, some reservations may be only in the
/// queue, so the rebuild waits for them. It waits no longer than this, because the sale is closed meanwhile. Messages that arrive
/// later belong to a past epoch, and fail.
const AT_MOST: Duration = Duration::from_secs(10);
/// How often the queues are checked.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The pause between two tries to connect to RabbitMQ.
const CONNECT_EVERY: Duration = Duration::from_millis(500);
/// How often a mark is sent again that has not come back.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// Checks in a row that must find nothing. A message that a worker is handling is not counted as in the queue.
const LOOKS: u32 = 6;

/// A message that shows that everything before it has left the queue.
struct Mark {
    name: String,
    /// When it was last sent.
    sent: Option<Instant>,
    /// Whether a worker has received it.
    is_back: bool,
}

impl Default for Mark {
    fn default() -> Mark {
        Mark { name: format!("{:016x}", fastrand::u64(..)), sent: None, is_back: false }
    }
}

impl Upkeep {
    /// Waits until the workers have placed what is in the queue now, at most `AT_MOST`.
    pub(super) async fn drain(&self) {
        let (began, mut mark) = (Instant::now(), Mark::default());
        let draining = async {
            loop {
                if let Some(link) = self.link().await
                    && self.drain_through(&link, &mut mark).await.is_ok()
                {
                    return;
                }
                sleep(CONNECT_EVERY).await;
            }
        };
        if timeout(AT_MOST, draining).await.is_err() {
            tracing::warn!("rebuilding although the queue has not been drained within {:.0?}", began.elapsed());
            metrics::counter!("rebuilds_undrained_total").increment(1);
        }
    }

    /// Other sales use the same queue, so it may never be empty. Then a mark is published: when a worker has received it,
    /// everything before it has left the queue.
    async fn drain_through(&self, link: &Link, mark: &mut Mark) -> anyhow::Result<()> {
        let key = self.redis.mark(&mark.name);
        let (mut nothing, mut publisher) = (0, None); // a connection of its own: while RabbitMQ accepts no messages, a publishing connection is blocked
        while nothing < LOOKS {
            sleep(LOOK_EVERY).await;
            let [orders, dead] = self.in_queues(link).await?;
            // Repeated, because a mark can be lost, or an older worker may receive it. Once it is sent, an empty queue says nothing: a
            // worker may have taken the mark together with orders that it is still placing.
            let is_awaited = orders > 0 || mark.sent.is_some();
            if is_awaited && !mark.is_back && mark.sent.is_none_or(|at| at.elapsed() >= MARK_EVERY) {
                if publisher.is_none() {
                    publisher = self.link().await;
                }
                if let Some(link) = &publisher {
                    mark.sent = Some(Instant::now());
                    let message = Message::mark(&mark.name);
                    let published = timeout(MARK_EVERY, link.publish(&self.transport.orders, &message)).await;
                    if matches!(published, Ok(Err(_))) {
                        publisher = None;
                    }
                }
            }
            mark.is_back = mark.is_back || mark.sent.is_some() && self.redis.with(&key).exists(&key).await?;
            let is_through = mark.is_back || mark.sent.is_none() && orders == 0;
            nothing = if dead == 0 && is_through { nothing + 1 } else { 0 };
        }
        Ok(())
    }

    /// The messages of all sales in the queue of orders and in that of dead letters.
    pub(super) async fn in_queues(&self, link: &Link) -> anyhow::Result<[u32; 2]> {
        let counting =
            async { Ok([link.waiting(&self.transport.orders).await?, link.waiting(&self.transport.dead).await?]) };
        timeout(A_MOMENT, counting).await?
    }
}
