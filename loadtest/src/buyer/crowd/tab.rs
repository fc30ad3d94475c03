//! One browser tab of a closed loop: it serves one buyer after the other.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};

use super::Queue;
use crate::{
    buyer::{
        click::{PATIENCE, click},
        client::Connection,
        waiting_room::Waiting,
    },
    verdict::history::{Answer, Told},
};

/// How long buyers try to reconnect before they give up.
const AWAY: Duration = Duration::from_secs(5);

/// One browser tab, with a connection to each instance.
pub(super) struct Tab {
    shops: Vec<SocketAddr>,
    pub(super) connections: Vec<Connection>,
    turn: usize,
}

impl Tab {
    pub(super) async fn open(shops: Vec<SocketAddr>, turn: usize) -> std::io::Result<Tab> {
        let mut connections = Vec::new();
        for &shop in &shops {
            connections.push(Connection::open(shop).await?);
        }
        Ok(Tab { shops, connections, turn })
    }

    /// The next connection in turn (round robin, like a load balancer).
    pub(super) fn next(&mut self) -> &mut Connection {
        self.turn = (self.turn + 1) % self.connections.len();
        &mut self.connections[self.turn]
    }

    /// Reconnects to the same instance, or switches to another one, as a load balancer does. Returns false if no instance is
    /// reachable in time.
    async fn mend(&mut self) -> bool {
        let given_up = Instant::now() + AWAY;
        while Instant::now() < given_up {
            // A host that is lost neither accepts nor refuses.
            if let Ok(Ok(connection)) = timeout(AWAY, Connection::open(self.shops[self.turn])).await {
                self.connections[self.turn] = connection;
                return true;
            }
            if !self.next().is_closed() {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// Waits at the barrier, then serves one buyer after the other. When `leave` says so, the buyer who still waits for an answer is
    /// given up. `leave` belongs to this tab alone, so looking at it takes no lock that tabs share.
    pub(super) async fn serve(
        mut self,
        queue: Arc<Queue>,
        waiting: mpsc::UnboundedSender<Waiting>,
        mut go: watch::Receiver<Option<Instant>>,
        leave: oneshot::Receiver<()>,
    ) -> Vec<Told> {
        let (mut history, mut asking) = (Vec::new(), None);
        let Some(start) = go.wait_for(Option::is_some).await.ok().and_then(|start| *start) else {
            return history; // the run was aborted before the barrier
        };
        tokio::select! {
            biased;
            () = self.serve_all(&queue, waiting, start, &mut history, &mut asking) => {}
            _ = leave => {}
        }
        if let Some(told) = asking {
            let told = Told { answered: start.elapsed(), ..told };
            queue.done.answered(&told.answer, told.latency());
            queue.requests.fetch_add(1, Relaxed);
            history.push(told);
        }
        history
    }

    /// Serves one buyer after the other. `asking` is the buyer who waits for an answer, whose result is unknown until it comes.
    async fn serve_all(
        &mut self,
        queue: &Queue,
        waiting: mpsc::UnboundedSender<Waiting>,
        start: Instant,
        history: &mut Vec<Told>,
        asking: &mut Option<Told>,
    ) {
        while let Some(buyer) = queue.next().await {
            if self.next().is_closed() && !self.mend().await {
                break;
            }
            let done = &queue.done;
            let after_fault = done.is_struck();
            done.asking.fetch_add(1, Relaxed);
            // Every buyer wanted to buy when the sale began, so latency includes the wait for a tab. This avoids coordinated
            // omission.
            let (wanted, sent) = (Duration::ZERO, start.elapsed());
            let (buyer_id, sale_id) = (buyer.id, buyer.sale_id);
            *asking = Some(Told { buyer_id, sale_id, wanted, sent, answered: sent, answer: Answer::Unknown });
            let (answer, requests) = click(&mut self.connections[self.turn], &buyer.link, buyer_id).await;
            *asking = None;
            queue.requests.fetch_add(requests, Relaxed);
            let answered = start.elapsed();
            done.answered(&answer, answered - wanted);
            if after_fault && matches!(answer, Answer::Bought { .. }) {
                done.confirm();
            }
            let (broken, queued) = (answer == Answer::Unknown, matches!(answer, Answer::Queued { .. }));
            let told = Told { buyer_id, sale_id, wanted, sent, answered, answer };
            match queued {
                true => drop(waiting.send(Waiting { told, after_fault })),
                false => history.push(told),
            }
            // If the only instance is silent, the next buyer would wait as long.
            let is_silent = self.shops.len() == 1 && answered - sent >= PATIENCE;
            if broken && (is_silent || !self.mend().await) {
                break;
            }
        }
    }
}
