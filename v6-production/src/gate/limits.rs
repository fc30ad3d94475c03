//! How many requests a client may make. Before the login a client is an IP address, and an office has one for everybody in it: that
//! limit is wide. After the login it is a session, and that one is a person's.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::Response,
};
use v4_ratelimit::rate_limit::{
    Refusal,
    client_limit::{ClientLimit, ClientLimits},
};

use crate::shop::Buyer;

/// What is let through of each session.
#[derive(Debug, Clone, clap::Args)]
pub struct SessionLimits {
    /// Steps on the way to a unit that one buyer may ask for in a second, once logged in
    #[arg(long, env = "SESSION_RATE", value_name = "SESSION_RATE", default_value = "5")]
    pub session_rate: NonZeroU32,

    /// Tokens in the bucket of one buyer
    #[arg(long, env = "SESSION_BURST", value_name = "SESSION_BURST", default_value = "10")]
    pub session_burst: NonZeroU32,
}

/// Both limits: chapter 4's, twice.
pub(crate) struct Limits {
    by_address: Arc<ClientLimit>,
    by_session: Arc<ClientLimit>,
}

impl Limits {
    /// Full buckets.
    ///
    /// # Errors
    /// The block list cannot be read.
    pub(crate) fn new(clients: &ClientLimits, sessions: &SessionLimits) -> anyhow::Result<Arc<Limits>> {
        let of_sessions = ClientLimits {
            client_rate: sessions.session_rate,
            client_burst: sessions.session_burst,
            block_list: None, // of addresses
            ..clients.clone()
        };
        Ok(Arc::new(Limits { by_address: ClientLimit::new(clients)?, by_session: ClientLimit::new(&of_sessions)? }))
    }
}

/// In front of the steps on the way to a unit.
///
/// # Errors
/// The client's address is on the block list, or its bucket is empty.
pub(crate) async fn layer(
    State(limits): State<Arc<Limits>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let client = limits.by_address.client(peer, request.headers());
    match request.extensions().get::<Buyer>() {
        None => limits.by_address.admit(client)?,
        Some(buyer) => {
            if limits.by_address.is_blocked(client) {
                return Err(Refusal::Blocked);
            }
            // Chapter 4 counts by address, and of an IPv6 address by its first half: there stands the buyer's number.
            limits.by_session.admit(IpAddr::V6(Ipv6Addr::from_bits((buyer.id as u128) << 64)))?;
        }
    }
    Ok(next.run(request).await)
}
