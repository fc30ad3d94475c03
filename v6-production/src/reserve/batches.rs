use std::{
    collections::HashMap,
    io,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::ensure;
use futures_util::future::join_all;
use metrics::Gauge;
use redis::{RedisResult, Script};
use tokio::{
    sync::{Mutex, Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{Attempt, Outcome},
    reserved::{RequestId, Reserved},
};
use crate::{
    catalogue::{Catalogue, SaleRow},
    config::Rules,
    gate::ticket::NONCE_BITS,
    order_id::{MOST_NUMBERS, OrderId},
    redis_store::{Failure, KEPT_MS, RedisStore, failure},
    sold_out::SoldOut,
    supervise::{self, Backoff},
};

/// The most attempts in one call. 64 attempts in one call take Redis an eighth of the time of 64 calls.
const BATCH: usize = 64;
/// The most calls of one primary at the same time. Meanwhile further attempts collect; when the sale is sold out, they are refused without Redis.
const CALLS: usize = 2;
/// How long attempts collect while another call is under way. An attempt that finds no call under way is sent at once.
const LINGER: Duration = Duration::from_millis(5);
/// How long after its arrival an attempt may be sent. Without an answer it is sent again until then, because a unit may be reserved.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last call may take after `PATIENCE`. Both together are shorter than nginx's `proxy_read_timeout`.
const LAST_CALL: Duration = Duration::from_secs(1);
/// How long a refused attempt is repeated, because another server may take over within a moment.
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// Above this share of the queue's capacity, a growing random share of attempts is refused (random early detection).
const NEARLY_FULL: f64 = 0.5;

static WAITING: LazyLock<Gauge> = LazyLock::new(|| metrics::gauge!("attempts_waiting"));
static UNDER_WAY: LazyLock<Gauge> = LazyLock::new(|| metrics::gauge!("reserve_calls_under_way"));
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../reserve.lua")));

/// The queues of attempts for Redis, one for each primary: while one of a cluster is away, the others sell. An attempt that was sent
/// goes on if its client disconnects.
pub(crate) struct Batches {
    redis: RedisStore,
    queues: Vec<mpsc::Sender<Waiting>>,
}

struct Waiting {
    attempt: Attempt,
    request_id: RequestId,
    arrived: Instant,
    answer: oneshot::Sender<Outcome>,
}

impl Waiting {
    fn answer(self, outcome: Outcome) {
        let _ = self.answer.send(outcome); // an error means that the client has disconnected
    }
}

/// Adds one to a gauge as long as it lives.
struct Counted(&'static Gauge);

impl Counted {
    fn in_gauge(gauge: &'static Gauge) -> Counted {
        gauge.increment(1.0);
        Counted(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Calls Redis with a batch.
struct Caller {
    redis: RedisStore,
    catalogue: Arc<Catalogue>,
    sold_out: Arc<SoldOut>,
    rules: Rules,
}

impl Batches {
    /// The queues, and the task that sends their attempts until `stop`.
    pub(crate) fn open(
        redis: RedisStore,
        catalogue: Arc<Catalogue>,
        sold_out: Arc<SoldOut>,
        rules: Rules,
        stop: CancellationToken,
    ) -> (Batches, impl Future<Output = ()>) {
        let channel = |_| mpsc::channel(rules.waiting as usize);
        let (queues, attempts): (Vec<_>, Vec<_>) = redis.shards().into_iter().map(channel).unzip();
        let caller = Arc::new(Caller { redis: redis.clone(), catalogue, sold_out, rules });
        let work = async move {
            let (caller, stop) = (&caller, &stop);
            let serve = |attempts| async move {
                let attempts = &Mutex::new(attempts);
                supervise::keep("batches", stop, || async { serve(&mut *attempts.lock().await, caller).await }).await;
            };
            join_all(attempts.into_iter().map(serve)).await;
        };
        (Batches { redis, queues }, work)
    }

    /// Tries to reserve a unit. A repeated request reserves one unit in total. `request_id` is for the log.
    pub(crate) async fn ask(&self, attempt: Attempt, request_id: RequestId) -> Outcome {
        let queue = match self.queues.as_slice() {
            [only] => only,
            // A cluster that has grown since the start has more primaries than queues.
            queues => &queues[self.redis.shard_number(attempt.sale_id) % queues.len()],
        };
        let free = queue.capacity() as f64 / queue.max_capacity() as f64;
        if refuses(1.0 - free, fastrand::f64()) {
            metrics::counter!("early_refusals_total").increment(1);
            return Outcome::Overloaded;
        }
        let _waits = Counted::in_gauge(&WAITING);
        let (answer, answered) = oneshot::channel();
        match queue.try_send(Waiting { attempt, request_id, arrived: Instant::now(), answer }) {
            Ok(()) => answered.await.unwrap_or(Outcome::Unanswered),
            Err(_) => Outcome::Overloaded,
        }
    }
}

/// Whether an attempt is refused early. `taken` is the share of the queue's capacity in use, and `dice` is random, both from 0 to
/// 1. Without early refusals, the free places of a full queue would go to the clients who retry most often.
fn refuses(taken: f64, dice: f64) -> bool {
    dice < (taken - NEARLY_FULL) / (1.0 - NEARLY_FULL)
}

async fn serve(attempts: &mut mpsc::Receiver<Waiting>, caller: &Arc<Caller>) -> anyhow::Result<()> {
    let calls = Arc::new(Semaphore::new(CALLS));
    loop {
        // First the permit, then the attempts: those that arrive while all calls are under way are sent together.
        let permit = calls.clone().acquire_owned().await?;
        let mut batch = Vec::with_capacity(BATCH);
        ensure!(attempts.recv_many(&mut batch, BATCH).await > 0, "there is nobody to ask for");
        // A larger batch costs Redis less, so a second call begins only with a full one, or if the first one takes long.
        let others_end = calls.acquire_many(CALLS as u32 - 1);
        let is_full = async {
            let mut room = BATCH - batch.len();
            while room > 0 {
                match attempts.recv_many(&mut batch, room).await {
                    0 => break,
                    some => room -= some,
                }
            }
        };
        tokio::select! {
            biased;
            _ = others_end => {}
            () = is_full => {}
            () = sleep(LINGER) => {}
        }
        let caller = caller.clone();
        tokio::spawn(async move {
            let _under_way = Counted::in_gauge(&UNDER_WAY);
            let mut sales: HashMap<i64, Vec<Waiting>> = HashMap::new();
            // Attempts whose clients have disconnected are dropped, so that their units go to other buyers.
            for waiting in batch.into_iter().filter(|waiting| !waiting.answer.is_closed()) {
                let Attempt { sale_id, again, .. } = waiting.attempt;
                if caller.sold_out.is(sale_id) && !again {
                    waiting.answer(Outcome::SoldOut);
                } else if waiting.arrived.elapsed() >= PATIENCE {
                    waiting.answer(Outcome::Overloaded);
                } else {
                    sales.entry(sale_id).or_default().push(waiting);
                }
            }
            let each = sales.into_iter().map(|(sale_id, waiting)| caller.call(sale_id, waiting));
            join_all(each).await;
            drop(permit);
        });
    }
}

impl Caller {
    /// Calls Redis with attempts on one sale, until there is an answer or too much time has passed.
    async fn call(&self, sale_id: i64, waiting: Vec<Waiting>) {
        let began = Instant::now();
        let oldest = waiting.iter().map(|waiting| waiting.arrived).min().unwrap_or(began);
        let (mut backoff, mut unanswered) = (Backoff::default(), false);
        let outcomes = loop {
            // Read each time: after a rebuild the sale has another epoch.
            let Some(sale) = self.catalogue.all().get(&sale_id).cloned() else {
                break vec![if unanswered { Outcome::Unanswered } else { Outcome::Closed }; waiting.len()];
            };
            let asking = async {
                let answers = self.reserve(&sale, &waiting, unanswered).await;
                if answers.as_ref().is_ok_and(|answers| answers.contains(&WARMING)) {
                    self.catalogue.look_again();
                    self.redis.miss(sale_id).await;
                }
                answers
            };
            let answers = timeout_at(oldest + PATIENCE + LAST_CALL, asking).await;
            let answers = answers.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
            let why = match answers {
                // After a call without an answer, `WARMING` does not count: that call may have reserved units.
                Ok(answers) if !(unanswered && answers.contains(&WARMING)) => {
                    break answers.into_iter().map(outcome).collect();
                }
                Ok(_) => "not ready".into(),
                Err(error) => {
                    unanswered |= failure(&error) == Failure::Unanswered;
                    error.to_string()
                }
            };
            let (last, told) = match unanswered {
                true => (oldest + PATIENCE, Outcome::Unanswered),
                false => ((began + REFUSED_FOR).min(oldest + PATIENCE), Outcome::Refused),
            };
            if Instant::now() >= last {
                tracing::warn!("reserve: {why}");
                break vec![told; waiting.len()];
            }
            metrics::counter!("reserve_repeated_total").increment(1);
            tracing::debug!("reserve: {why}; asking again");
            let _ = timeout_at(last, backoff.pause()).await; // the last call begins in time
        };
        metrics::counter!("reserve_calls_total").increment(1);
        metrics::counter!("passed_filter_total").increment(waiting.len() as u64);
        let mut reserved = Reserved::default();
        for (waiting, outcome) in waiting.into_iter().zip(outcomes) {
            match outcome {
                Outcome::SoldOut => self.sold_out.set(sale_id),
                Outcome::Held(order_id) => reserved.add(order_id, waiting.attempt.buyer, &waiting.request_id),
                _ => {}
            }
            waiting.answer(outcome);
        }
        reserved.log();
    }

    async fn reserve(&self, sale: &SaleRow, waiting: &[Waiting], again: bool) -> RedisResult<Vec<i64>> {
        let (keys, rules) = (self.redis.keys(sale.id), &self.rules);
        let mut call = SCRIPT.key(keys.sale);
        call.key(keys.held).key(keys.outbox).key(keys.tries).key(keys.spent).key(keys.denied).key(keys.ended);
        call.arg(sale.epoch)
            .arg(OrderId::base(sale.id, sale.epoch).0)
            .arg(self.redis.channel("stock"))
            .arg(sale.id)
            .arg(MOST_NUMBERS)
            .arg(rules.frequency_limit)
            .arg(rules.frequency_window.as_millis() as u64)
            .arg(rules.frequency_buyers)
            .arg(rules.path_ttl.as_millis() as u64)
            .arg(i32::from(again))
            .arg(KEPT_MS)
            .arg(1 << NONCE_BITS);
        for Waiting { attempt: Attempt { buyer, request, path, .. }, .. } in waiting {
            call.arg(&buyer.id.to_be_bytes()).arg(&request.to_be_bytes()).arg(&path.0.to_be_bytes());
        }
        let mut shard = self.redis.of(sale.id);
        let mut answers: Vec<i64> = call.invoke_async(&mut shard).await?;
        let has_reserved = answers.iter().any(|answer| *answer > 0);
        // A unit is reserved, so also a refusal here leaves the result unknown.
        let is_replicated = || self.redis.is_replicated(&shard, sale.id, sale.epoch);
        if has_reserved && !is_replicated().await.unwrap_or(false) {
            metrics::counter!("reserve_unreplicated_total").increment(1);
            answers.iter_mut().filter(|answer| **answer > 0).for_each(|answer| *answer = UNREPLICATED);
        }
        Ok(answers)
    }
}

const WARMING: i64 = -1;
/// A unit is reserved, and too few replicas have it. `reserve.lua` never answers this.
const UNREPLICATED: i64 = -9;

fn outcome(answer: i64) -> Outcome {
    match answer {
        WARMING => Outcome::Warming,
        -2 => Outcome::NotOpen,
        -3 => Outcome::Closed,
        -4 => Outcome::LimitReached,
        -5 => Outcome::SoldOut,
        -6 => Outcome::Denied,
        -7 => Outcome::WrongPath,
        -8 => Outcome::Crowded,
        UNREPLICATED => Outcome::Unanswered,
        ..=-1000 => Outcome::TooOften(Duration::from_millis((-1000 - answer) as u64)),
        order_id => Outcome::Held(OrderId(order_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ever_more_are_refused_before_all_places_are_taken() {
        let share = |taken: f64| (0..1000).filter(|n| refuses(taken, f64::from(*n) / 1000.0)).count();
        assert_eq!([0.0, 0.3, 0.5].map(share), [0, 0, 0]);
        assert_eq!([0.75, 1.0].map(share), [500, 1000]);
        assert!((90..110).contains(&share(0.55)));
    }
}
