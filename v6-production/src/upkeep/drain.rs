use std::time::{Duration, Instant};

use redis::AsyncCommands;
use tokio::time::{sleep, timeout};

use super::{A_MOMENT, Upkeep};
use crate::transport::{Link, message::Message};

/// How long draining may take, and RabbitMQ to be there at all. What is only in the queue after a Redis that has lost its memory is
/// found by no one else, so it is waited for; but no longer, because nobody sells meanwhile. What comes later finds a new epoch, and
/// fails.
const AT_MOST: Duration = Duration::from_secs(10);
/// Between two looks; longer while RabbitMQ is away.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const CONNECT_EVERY: Duration = Duration::from_millis(500);
/// How often a mark is sent that has not come back.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row that find nothing more to wait for: what a worker has in its hands is not in the queue.
const LOOKS: u32 = 6;

impl Upkeep {
    /// Waits until workers have taken what is in the queue now, but not for ever.
    pub(super) async fn drain(&self) {
        let began = Instant::now();
        let draining = async {
            loop {
                if let Some(link) = self.link().await
                    && self.drain_through(&link).await.is_ok()
                {
                    return;
                }
                sleep(CONNECT_EVERY).await;
            }
        };
        if timeout(AT_MOST, draining).await.is_err() {
            tracing::warn!("rebuilding although RabbitMQ has not been emptied within {:.0?}", began.elapsed());
            metrics::counter!("rebuilds_undrained_total").increment(1);
        }
    }

    /// Other sales use the queue as well, so it may never be empty. Then a mark shows the way: all that was before it is out of the
    /// queue when a worker has it.
    async fn drain_through(&self, link: &Link) -> anyhow::Result<()> {
        let name = format!("{:016x}", fastrand::u64(..));
        let (mut nothing, mut is_back, mut sent) = (0, false, None::<Instant>);
        let mut publisher = None; // A connection that publishes says nothing more while RabbitMQ takes no messages.
        while nothing < LOOKS {
            sleep(LOOK_EVERY).await;
            let [orders, dead] = self.in_queues(link).await?;
            // Again and again: a mark can be lost, or a worker has it that knows none.
            if orders > 0 && !is_back && sent.is_none_or(|at| at.elapsed() >= MARK_EVERY) {
                sent = Some(Instant::now());
                if publisher.is_none() {
                    publisher = self.link().await;
                }
                if let Some(publisher) = &publisher {
                    let mark = Message::mark(&name);
                    let _ = timeout(MARK_EVERY, publisher.publish(&self.transport.orders, &mark)).await;
                }
            }
            is_back = is_back || sent.is_some() && self.redis.shared.clone().exists(self.redis.mark(&name)).await?;
            nothing = if dead == 0 && (is_back || orders == 0) { nothing + 1 } else { 0 };
        }
        Ok(())
    }

    /// Messages that no worker has in its hands, of all sales: on their way, and dead letters.
    pub(super) async fn in_queues(&self, link: &Link) -> anyhow::Result<[u32; 2]> {
        let counting =
            async { Ok([link.waiting(&self.transport.orders).await?, link.waiting(&self.transport.dead).await?]) };
        timeout(A_MOMENT, counting).await?
    }
}
