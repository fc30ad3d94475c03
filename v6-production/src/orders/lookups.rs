use std::collections::HashMap;

use anyhow::ensure;
use sqlx::PgPool;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::record::{Recorded, Standing, recorded};
use crate::{error::Error, order_id::OrderId, shop::Buyer, supervise};

/// The most lookups that may wait. Further ones are refused.
const WAITING: usize = 20_000;
/// The most orders in one statement.
const BATCH: usize = 500;

/// Batched lookups for buyers who poll their orders. One statement at a time reads all orders that were asked for while the last
/// one ran. So polling uses one database connection, however many buyers poll.
pub(crate) struct Lookups(mpsc::Sender<Question>);

struct Question {
    order_id: OrderId,
    buyer: Buyer,
    answer: oneshot::Sender<Result<Option<Standing>, Error>>,
}

impl Lookups {
    /// The lookups, and the task that answers them until `stop`.
    pub(crate) fn open(sql: PgPool, stop: CancellationToken) -> (Lookups, impl Future<Output = ()>) {
        let (ask, questions) = mpsc::channel(WAITING);
        let work = async move {
            let (questions, sql) = (&Mutex::new(questions), &sql);
            supervise::keep("lookups", &stop, || async { serve(&mut *questions.lock().await, sql).await }).await;
        };
        (Lookups(ask), work)
    }

    /// Where this buyer's order stands in SQL; `None` if there is no such order, or it is another buyer's.
    ///
    /// # Errors
    /// 503 `overloaded`: too many lookups wait, or SQL does not answer.
    pub(crate) async fn ask(&self, order_id: OrderId, buyer: Buyer) -> Result<Option<Standing>, Error> {
        let (answer, answered) = oneshot::channel();
        let busy = || Error::Unavailable("too many ask for their orders");
        self.0.try_send(Question { order_id, buyer, answer }).map_err(|_| busy())?;
        answered.await.unwrap_or_else(|_| Err(busy()))
    }
}

async fn serve(questions: &mut mpsc::Receiver<Question>, sql: &PgPool) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        ensure!(questions.recv_many(&mut batch, BATCH).await > 0, "nobody can ask any more");
        batch.retain(|question| !question.answer.is_closed()); // those whose clients have disconnected
        if batch.is_empty() {
            continue;
        }
        let ids: Vec<OrderId> = batch.iter().map(|question| question.order_id).collect();
        match recorded(sql, &ids).await {
            Ok(orders) => {
                let mut by_number: HashMap<OrderId, Vec<Recorded>> = HashMap::new();
                for order in orders {
                    by_number.entry(order.id).or_default().push(order);
                }
                for question in batch.drain(..) {
                    let mut orders = by_number.get(&question.order_id).into_iter().flatten();
                    let own = orders.find(|order| order.is_of(question.buyer.id));
                    let _ = question.answer.send(Ok(own.map(|order| order.standing.clone())));
                }
            }
            Err(error) => {
                tracing::debug!("orders: {error}");
                // Also those who came meanwhile: in the next batches they would wait for the same again.
                let others = std::iter::from_fn(|| questions.try_recv().ok());
                for question in batch.drain(..).chain(others) {
                    let _ = question.answer.send(Err(Error::Unavailable("the database is away")));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Duration};

    use sqlx::postgres::PgPoolOptions;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn when_sql_is_away_all_who_wait_are_told_at_once() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let sql = PgPoolOptions::new().acquire_timeout(Duration::from_millis(50));
        let sql = sql.connect_lazy(&format!("postgres://{}/none", silent.local_addr().unwrap())).unwrap();
        let (lookups, work) = Lookups::open(sql, CancellationToken::new());
        let mut answers = Vec::new();
        for _ in 0..=2 * BATCH {
            let (answer, answered) = oneshot::channel();
            let question = Question { order_id: OrderId(1), buyer: Buyer { id: 1 }, answer };
            lookups.0.try_send(question).unwrap_or_else(|_| panic!("there is room"));
            answers.push(answered);
        }
        tokio::spawn(work);
        let first = timeout(Duration::from_secs(30), answers.remove(0)).await.unwrap();
        assert!(matches!(first, Ok(Err(Error::Unavailable(_)))));
        // There is one thread, so nothing has run since.
        for mut answered in answers {
            assert!(matches!(answered.try_recv(), Ok(Err(Error::Unavailable(_)))));
        }
    }
}
