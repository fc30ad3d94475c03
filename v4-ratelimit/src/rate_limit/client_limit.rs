use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::{Arc, Once},
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use governor::Quota;
use ipnet::IpNet;

use super::{block_list::BlockList, buckets::ClientBuckets, client, refusal::Refusal};

/// The limits of each client.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientLimits {
    /// Purchase requests a second of one client
    #[arg(long, env = "CLIENT_RATE", value_name = "CLIENT_RATE", default_value = "5", value_parser = rate)]
    pub client_rate: NonZeroU32,

    /// Tokens in the bucket of one client
    #[arg(long, env = "CLIENT_BURST", value_name = "CLIENT_BURST", default_value = "10", value_parser = rate)]
    pub client_burst: NonZeroU32,

    /// Buckets for all clients, 8 bytes each; with more clients, some share a bucket
    #[arg(long, env = "CLIENT_BUCKETS", value_name = "CLIENT_BUCKETS", default_value = "65536", value_parser = rate)]
    pub client_buckets: NonZeroU32,

    /// Proxies whose X-Forwarded-For is trusted: IP addresses or networks, separated by commas [default: none]
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "TRUSTED_PROXIES", value_delimiter = ',',
          value_parser = client::network)]
    pub trusted_proxies: Vec<IpNet>,

    /// A file of blocked IP addresses and networks; it may be replaced while the shop runs
    #[arg(long, env = "BLOCK_LIST", value_name = "BLOCK_LIST")]
    pub block_list: Option<PathBuf>,
}

/// The checks of one client: the block list and its own bucket. They work without the global bucket.
pub struct ClientLimit {
    trusted: Vec<IpNet>,
    blocked: Option<Arc<BlockList>>,
    buckets: ClientBuckets,
    /// The warning about an untrusted proxy is logged once, because any client can send the header.
    forgotten: Once,
}

impl ClientLimit {
    /// Limits with full buckets.
    ///
    /// # Errors
    /// The block list cannot be read.
    pub fn new(limits: &ClientLimits) -> anyhow::Result<Arc<ClientLimit>> {
        Ok(Arc::new(ClientLimit {
            trusted: limits.trusted_proxies.clone(),
            blocked: limits.block_list.as_deref().map(BlockList::open).transpose()?,
            buckets: ClientBuckets::new(
                quota(limits.client_rate, limits.client_burst),
                limits.client_buckets.get() as usize,
            ),
            forgotten: Once::new(),
        }))
    }

    /// The client's IP address; see [`client::address`].
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let is_forwarded = headers.contains_key("x-forwarded-for");
        if is_forwarded && !self.trusted.iter().any(|network| network.contains(&peer.ip().to_canonical())) {
            self.forgotten.call_once(|| {
                tracing::warn!(
                    "{} says X-Forwarded-For and is not among TRUSTED_PROXIES: if it is a proxy, all its clients count as one",
                    peer.ip()
                );
            });
        }
        client::address(peer.ip(), headers, &self.trusted)
    }

    /// Whether this client is on the block list.
    pub fn is_blocked(&self, client: IpAddr) -> bool {
        self.blocked.as_ref().is_some_and(|list| list.contains(client))
    }

    /// Checks the block list, and takes a token from the client's bucket.
    ///
    /// # Errors
    /// The client is blocked, or its bucket is empty.
    pub fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        if self.is_blocked(client) {
            return Err(Refusal::Blocked);
        }
        self.buckets.take(client::bucket(client)).map_err(Refusal::TooFast)
    }
}

/// The layer for routes that need no token of the global bucket: the first two checks alone.
///
/// # Errors
/// 403 `blocked`, 429 `rate-limited`.
pub async fn layer(
    State(limit): State<Arc<ClientLimit>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    limit.admit(limit.client(peer, request.headers()))?;
    Ok(next.run(request).await)
}

pub(super) fn quota(rate: NonZeroU32, burst: NonZeroU32) -> Quota {
    Quota::per_second(rate).allow_burst(burst)
}

pub(super) fn rate(text: &str) -> Result<NonZeroU32, String> {
    match text.parse::<NonZeroU32>() {
        Ok(n) if n.get() <= 10_000_000 => Ok(n),
        _ => Err("whole numbers from 1 to 10,000,000 are taken".into()),
    }
}
