//! Rate limits. Up to the login a client is an IP address, which a whole office may share, so that limit is high. After the
//! login a client is a session, which belongs to one person.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    sync::Arc,
};

use axum::http::HeaderMap;
use v4_ratelimit::rate_limit::{
    Refusal,
    client_limit::{ClientLimit, ClientLimits},
};

use crate::shop::Buyer;

/// The rate limit of each session.
#[derive(Debug, Clone, clap::Args)]
pub struct SessionLimits {
    /// Requests a second that one logged-in buyer may make to buy, pay and cancel
    #[arg(long, env = "SESSION_RATE", value_name = "SESSION_RATE", default_value = "5")]
    pub session_rate: NonZeroU32,

    /// Tokens in the bucket of one buyer
    #[arg(long, env = "SESSION_BURST", value_name = "SESSION_BURST", default_value = "10")]
    pub session_burst: NonZeroU32,
}

/// Both limits. Each is chapter 4's limit for one client.
pub(crate) struct Limits {
    by_address: Arc<ClientLimit>,
    by_session: Arc<ClientLimit>,
}

impl Limits {
    /// Limits with full buckets.
    ///
    /// # Errors
    /// The block list cannot be read.
    pub(crate) fn new(clients: &ClientLimits, sessions: &SessionLimits) -> anyhow::Result<Arc<Limits>> {
        let of_sessions = ClientLimits {
            client_rate: sessions.session_rate,
            client_burst: sessions.session_burst,
            block_list: None, // it lists IP addresses
            ..clients.clone()
        };
        Ok(Arc::new(Limits { by_address: ClientLimit::new(clients)?, by_session: ClientLimit::new(&of_sessions)? }))
    }

    /// Takes a token from the bucket of this session; without a session, from the bucket of this IP address.
    ///
    /// # Errors
    /// The client's IP address is on the block list, or the bucket is empty.
    pub(super) fn admit(&self, peer: SocketAddr, headers: &HeaderMap, buyer: Option<Buyer>) -> Result<(), Refusal> {
        let client = self.by_address.client(peer, headers);
        let Some(buyer) = buyer else { return self.by_address.admit(client) };
        if self.by_address.is_blocked(client) {
            return Err(Refusal::Blocked);
        }
        // Chapter 4 counts by IP address, and IPv6 addresses by their first 64 bits: the buyer's number goes there.
        self.by_session.admit(IpAddr::V6(Ipv6Addr::from_bits((buyer.id as u128) << 64)))
    }
}
