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
                for question in batch.drain(..) {
                    let _ = question.answer.send(Err(Error::Unavailable("the database is away")));
                }
            }
        }
    }
}
