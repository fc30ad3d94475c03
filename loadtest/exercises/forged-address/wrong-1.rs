//! Wrong: it takes the last entry, whoever the peer is. A stranger without a proxy writes that entry, too.

use std::net::IpAddr;

/// The client's address. `peer` is the other end of the connection, `forwarded` the header `X-Forwarded-For` (empty if there is
/// none), and `trusted` are our proxies.
pub fn client(peer: IpAddr, forwarded: &str, trusted: &[IpAddr]) -> IpAddr {
    let mut entries = forwarded.rsplit(',').filter_map(|entry| entry.trim().parse::<IpAddr>().ok());
    entries.find(|address| !trusted.contains(address)).unwrap_or(peer)
}
