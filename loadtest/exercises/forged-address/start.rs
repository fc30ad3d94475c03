//! The address by which a client is counted.

use std::net::IpAddr;

/// The client's address. `peer` is the other end of the connection, `forwarded` the header `X-Forwarded-For` (empty if there is
/// none), and `trusted` are our proxies.
pub fn client(peer: IpAddr, forwarded: &str, trusted: &[IpAddr]) -> IpAddr {
    let _ = trusted;
    forwarded.split(',').next().and_then(|first| first.trim().parse().ok()).unwrap_or(peer)
}
