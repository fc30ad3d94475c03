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

/// What is let through of each client.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientLimits {
    /// Purchases a second that one client may ask for
    #[arg(long, env = "CLIENT_RATE", value_name = "CLIENT_RATE", default_value = "5", value_parser = rate)]
    pub client_rate: NonZeroU32,

    /// Tokens in the bucket of one client
    #[arg(long, env = "CLIENT_BURST", value_name = "CLIENT_BURST", default_value = "10", value_parser = rate)]
    pub client_burst: NonZeroU32,

    /// Buckets for clients, 8 bytes each; clients beyond that share
    #[arg(long, env = "CLIENT_BUCKETS", value_name = "CLIENT_BUCKETS", default_value = "65536", value_parser = rate)]
    pub client_buckets: NonZeroU32,

    /// Proxies whose X-Forwarded-For is believed: addresses or networks, with commas [default: none]
    #[arg(long, env = "TRUSTED_PROXIES", value_name = "TRUSTED_PROXIES", value_delimiter = ',',
          value_parser = client::network)]
    pub trusted_proxies: Vec<IpNet>,

    /// A file of addresses and networks that get nothing; may be changed while the shop runs
    #[arg(long, env = "BLOCK_LIST", value_name = "BLOCK_LIST")]
    pub block_list: Option<PathBuf>,
}

/// What one process knows of its clients. It knows nothing of the bucket of all, and can stand without it.
pub struct ClientLimit {
    trusted: Vec<IpNet>,
    blocked: Option<Arc<BlockList>>,
    buckets: ClientBuckets,
    /// Said once: anybody can send the header.
    forgotten: Once,
}

impl ClientLimit {
    /// Full buckets.
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

    /// Who is asking; see [`client::address`].
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

    /// Is this client on the block list? Has it a token left?
    ///
    /// # Errors
    /// Why it does not get through.
    pub fn admit(&self, client: IpAddr) -> Result<(), Refusal> {
        if self.is_blocked(client) {
            return Err(Refusal::Blocked);
        }
        self.buckets.take(client::bucket(client)).map_err(Refusal::TooFast)
    }
}

/// In front of what needs no token of the bucket of all: these two questions alone.
///
/// # Errors
/// Why the request does not get through.
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
