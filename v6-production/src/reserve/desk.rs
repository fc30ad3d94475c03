use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use redis::{RedisResult, Script};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Outcome;
use crate::{
    catalogue::SaleRow,
    order_id::{MOST_NUMBERS, OrderId},
    redis_store::{RedisStore, is_unanswered},
    sold_out::SoldOut,
    supervise::Backoff,
};

/// Attempts that may wait here. One more is refused.
const WAITING: usize = 20_000;
/// Attempts in one call: 32 take Redis a quarter of the time that 32 calls take.
const BATCH: usize = 32;
/// Calls under way. While they are, others gather; and once a sale is sold out, those never get to Redis.
const CALLS: usize = 4;
/// How long an attempt is asked for again and again.
const PATIENCE: Duration = Duration::from_secs(10);

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../reserve.lua")));

/// Where attempts queue for Redis. It outlives whoever asked: a buyer who hangs up takes nothing back.
pub(crate) struct Desk {
    queue: mpsc::Sender<Attempt>,
}

struct Attempt {
    sale: Arc<SaleRow>,
    buyer_id: i64,
    request: [u8; 16],
    /// Whether it may have been made before: then only Redis knows the answer.
    again: bool,
    answer: oneshot::Sender<Outcome>,
}

impl Attempt {
    fn answer(self, outcome: Outcome) {
        let _ = self.answer.send(outcome); // or the buyer has gone
    }
}

impl Desk {
    /// A desk, and the work behind it, which ends when all attempts are answered and the desk is gone.
    pub(crate) fn open(redis: RedisStore, sold_out: Arc<SoldOut>) -> (Desk, impl Future<Output = ()>) {
        let (queue, attempts) = mpsc::channel(WAITING);
        (Desk { queue }, serve(attempts, redis, sold_out))
    }

    /// Tries to hold a unit. The same `request` may be tried `again` and holds one unit.
    pub(crate) async fn ask(&self, sale: Arc<SaleRow>, buyer_id: i64, request: [u8; 16], again: bool) -> Outcome {
        let (answer, answered) = oneshot::channel();
        match self.queue.try_send(Attempt { sale, buyer_id, request, again, answer }) {
            Ok(()) => answered.await.unwrap_or(Outcome::Unanswered),
            Err(_) => Outcome::Overloaded,
        }
    }
}

async fn serve(mut attempts: mpsc::Receiver<Attempt>, redis: RedisStore, sold_out: Arc<SoldOut>) {
    let calls = Arc::new(Semaphore::new(CALLS));
    loop {
        // First the permit, then the attempts: those who come while all calls are under way go together.
        let Ok(permit) = calls.clone().acquire_owned().await else { return };
        let mut batch = Vec::with_capacity(BATCH);
        if attempts.recv_many(&mut batch, BATCH).await == 0 {
            let _ = calls.acquire_many(CALLS as u32 - 1).await; // the last calls
            return;
        }
        let (redis, sold_out) = (redis.clone(), sold_out.clone());
        tokio::spawn(async move {
            let mut sales: HashMap<i64, Vec<Attempt>> = HashMap::new();
            for attempt in batch {
                match sold_out.is(attempt.sale.id) && !attempt.again {
                    true => attempt.answer(Outcome::SoldOut),
                    false => sales.entry(attempt.sale.id).or_default().push(attempt),
                }
            }
            let each = sales.into_values().map(|attempts| call(&redis, &sold_out, attempts));
            futures_util::future::join_all(each).await;
            drop(permit);
        });
    }
}

/// Asks for attempts on one sale, until there is an answer or too much time has passed.
async fn call(redis: &RedisStore, sold_out: &SoldOut, attempts: Vec<Attempt>) {
    let sale = attempts[0].sale.clone();
    let began = Instant::now();
    let mut backoff = Backoff::default();
    let outcomes = loop {
        match reserve(redis, &sale, &attempts).await {
            Ok(answers) => break answers.into_iter().map(outcome).collect(),
            Err(error) if is_unanswered(&error) && began.elapsed() < PATIENCE => {
                metrics::counter!("reserve_repeated_total").increment(1);
                tracing::debug!("reserve: {error}; asking again");
                backoff.pause().await;
            }
            Err(error) => {
                tracing::warn!("reserve: {error}");
                break vec![Outcome::Unanswered; attempts.len()];
            }
        }
    };
    metrics::counter!("reserve_calls_total").increment(1);
    metrics::counter!("passed_filter_total").increment(attempts.len() as u64);
    for (attempt, outcome) in attempts.into_iter().zip(outcomes) {
        if outcome == Outcome::SoldOut {
            sold_out.set(sale.id);
        }
        attempt.answer(outcome);
    }
}

async fn reserve(redis: &RedisStore, sale: &SaleRow, attempts: &[Attempt]) -> RedisResult<Vec<i64>> {
    let keys = redis.keys(sale.id);
    let mut call = SCRIPT.key(keys.sale);
    call.key(keys.held).key(keys.outbox);
    call.arg(sale.epoch)
        .arg(OrderId::base(sale.id, sale.epoch).0)
        .arg(redis.channel("stock"))
        .arg(sale.id)
        .arg(MOST_NUMBERS);
    for attempt in attempts {
        call.arg(&attempt.buyer_id.to_be_bytes()).arg(&attempt.request);
    }
    call.invoke_async(&mut redis.shared.clone()).await
}

fn outcome(answer: i64) -> Outcome {
    match answer {
        -1 => Outcome::Warming,
        -2 => Outcome::NotOpen,
        -3 => Outcome::Closed,
        -4 => Outcome::LimitReached,
        -5 => Outcome::SoldOut,
        order_id => Outcome::Held(OrderId(order_id)),
    }
}
