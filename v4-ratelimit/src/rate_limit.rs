//! Chapter 4, the file to read: who gets through to the purchase.
//!
//! Three questions, the cheapest first. Is the client on the block list? Has this client a token left? Is there a token
//! left at all? A client over its own limit takes no token from all the others.

/// Who is kept out altogether.
pub mod block_list;
/// Room for the clients' buckets that no number of clients can fill.
pub mod buckets;
/// Who is asking: an address that cannot be made up.
pub mod client;
/// The first two questions, which can be asked alone.
pub mod client_limit;
/// Why a request is refused.
mod refusal;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use governor::{DefaultDirectRateLimiter, RateLimiter, clock::Clock};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{sleep, timeout},
};

use self::client_limit::{ClientLimit, ClientLimits, quota, rate};
pub use self::refusal::Refusal;
use crate::shop::{Shop, config::seconds};

/// What is let through.
#[derive(Debug, Clone, clap::Args)]
pub struct RateLimits {
    /// Of each client.
    #[command(flatten)]
    pub clients: ClientLimits,

    /// Purchases a second that all clients together may ask for
    #[arg(long, env = "GLOBAL_RATE", value_name = "GLOBAL_RATE", default_value = "500", value_parser = rate)]
    pub global_rate: NonZeroU32,

    /// Tokens in the bucket of all: how many may come at once after a pause
    #[arg(long, env = "GLOBAL_BURST", value_name = "GLOBAL_BURST", default_value = "500", value_parser = rate)]
    pub global_burst: NonZeroU32,

    /// What becomes of a request that finds the bucket of all empty
    #[arg(long, env = "POLICY", value_name = "POLICY", value_enum, default_value_t = Policy::Reject)]
    pub policy: Policy,

    /// Seconds a request waits for a token, if it waits
    #[arg(long, env = "WAIT_TIMEOUT", value_name = "WAIT_TIMEOUT", default_value = "1", value_parser = seconds)]
    pub wait_timeout: Duration,
}

/// What becomes of a request that finds the bucket of all empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// 429 at once
    Reject,
    /// It waits for a token, first come, first served; 429 only after the wait time-out
    Wait,
}

/// The buckets of one process.
pub struct RateLimit {
    /// Asked first, and by whoever needs no token of the bucket of all.
    pub clients: Arc<ClientLimit>,
    all: DefaultDirectRateLimiter,
    queue: Option<Queue>,
}

/// Where requests wait for a token of the bucket of all.
struct Queue {
    /// As many as can be served before their time-out; whoever comes after them would wait in vain.
    places: Semaphore,
    /// Handed on in the order of asking.
    turn: Mutex<()>,
    timeout: Duration,
}

impl RateLimit {
    /// Full buckets.
    ///
    /// # Errors
    /// The block list cannot be read.
    pub fn new(limits: &RateLimits) -> anyhow::Result<Arc<RateLimit>> {
        let served_in_time = limits.wait_timeout.as_secs_f64() * f64::from(limits.global_rate.get());
        let queue = Queue {
            places: Semaphore::new((served_in_time as usize).clamp(1, Semaphore::MAX_PERMITS)),
            turn: Mutex::default(),
            timeout: limits.wait_timeout,
        };
        Ok(Arc::new(RateLimit {
            clients: ClientLimit::new(&limits.clients)?,
            all: RateLimiter::direct(quota(limits.global_rate, limits.global_burst)),
            queue: (limits.policy == Policy::Wait).then_some(queue),
        }))
    }

    /// Lets a request of this client through, or not.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        // The first two questions: is it on the block list, has it a token left?
        self.clients.admit(client)?;
        // The third: is there a token at all?
        match &self.queue {
            None => self.take().map_err(Refusal::TooFast),
            Some(queue) => self.wait(queue).await,
        }
    }

    /// Takes a token of the bucket of all, or says when there will be one.
    fn take(&self) -> Result<(), Duration> {
        self.all.check().map_err(|not_until| not_until.wait_time_from(self.all.clock().now()))
    }

    /// A queue in front of a token bucket pours like a leaky one: a crowd comes out at the bucket's rate.
    async fn wait(&self, queue: &Queue) -> Result<(), Refusal> {
        let too_fast = Refusal::TooFast(queue.timeout);
        let _place = queue.places.try_acquire().map_err(|_| too_fast)?;
        let in_turn = async {
            let _turn = queue.turn.lock().await;
            while let Err(wait) = self.take() {
                sleep(wait).await;
            }
        };
        timeout(queue.timeout, in_turn).await.map_err(|_| too_fast)
    }

    /// Puts the limit in front of a purchase.
    pub fn guard(self: Arc<Self>, purchase: Router<Shop>) -> Router<Shop> {
        purchase.layer(from_fn_with_state(self, layer))
    }
}

/// In front of a purchase: all three questions.
///
/// # Errors
/// Why the request does not get through.
pub async fn layer(
    State(limit): State<Arc<RateLimit>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    limit.admit(limit.clients.client(peer, request.headers())).await?;
    metrics::counter!("passed_rate_limit_total").increment(1);
    Ok(next.run(request).await)
}
