//! Chapter 4, the file to read: the rate limit in front of the purchase.
//!
//! It makes three checks, the shared one last. Is the client on the block list? Does the client's own bucket have a token? Does the
//! global bucket have a token? A client over its own limit takes no token from the global bucket.

/// The list of blocked clients.
pub mod block_list;
/// The clients' buckets, in a fixed amount of memory.
pub mod buckets;
/// The client's IP address, behind proxies as well.
pub mod client;
/// The first two checks, which can be used alone.
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

/// The settings of the rate limit.
#[derive(Debug, Clone, clap::Args)]
pub struct RateLimits {
    /// The limits of each client.
    #[command(flatten)]
    pub clients: ClientLimits,

    /// Purchase requests a second, for all clients together
    #[arg(long, env = "GLOBAL_RATE", value_name = "GLOBAL_RATE", default_value = "500", value_parser = rate)]
    pub global_rate: NonZeroU32,

    /// Tokens in the global bucket: requests that may come at once after a pause
    #[arg(long, env = "GLOBAL_BURST", value_name = "GLOBAL_BURST", default_value = "500", value_parser = rate)]
    pub global_burst: NonZeroU32,

    /// What happens to a request when the global bucket is empty
    #[arg(long, env = "POLICY", value_name = "POLICY", value_enum, default_value_t = Policy::Reject)]
    pub policy: Policy,

    /// Longest wait for a token in seconds, with the policy `wait`
    #[arg(long, env = "WAIT_TIMEOUT", value_name = "WAIT_TIMEOUT", default_value = "1", value_parser = seconds)]
    pub wait_timeout: Duration,
}

/// What happens to a request when the global bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Policy {
    /// Refuse it with 429 at once
    Reject,
    /// Let it wait for a token, first come, first served; refuse it with 429 after the wait time-out
    Wait,
}

/// The rate limit of one process.
pub struct RateLimit {
    /// The checks of one client. Routes that need no global token use them alone.
    pub clients: Arc<ClientLimit>,
    all: DefaultDirectRateLimiter,
    queue: Option<Queue>,
}

/// The queue of requests that wait for a token of the global bucket.
struct Queue {
    /// As many as can be served before their time-out. A request beyond that would wait in vain, and is refused at once.
    places: Semaphore,
    /// Held by the first request in the queue; passed on in the order of arrival.
    turn: Mutex<()>,
    timeout: Duration,
}

impl RateLimit {
    /// A rate limit with full buckets.
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

    /// Makes the three checks for a request of this client, and waits for a token if the policy says so.
    ///
    /// # Errors
    /// The request is refused.
    pub async fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        // The first two checks: the block list and the client's own bucket.
        self.clients.admit(client)?;
        // The third check: the global bucket.
        match &self.queue {
            None => self.take().map_err(Refusal::TooFast),
            Some(queue) => self.wait(queue).await,
        }
    }

    /// Takes a token of the global bucket, or returns the time until there is one.
    fn take(&self) -> Result<(), Duration> {
        self.all.check().map_err(|not_until| not_until.wait_time_from(self.all.clock().now()))
    }

    /// Waits for a token. With a bucket of one token this is a leaky bucket. A larger one lets a burst pass after a pause.
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

    /// Puts the rate limit in front of a purchase.
    pub fn guard(self: Arc<Self>, purchase: Router<Shop>) -> Router<Shop> {
        purchase.layer(from_fn_with_state(self, layer))
    }
}

/// The layer with all three checks.
///
/// # Errors
/// 403 `blocked`, 429 `rate-limited`.
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
