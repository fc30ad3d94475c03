//! The address by which a client is counted: read from right to left, for as long as a proxy of ours says it.

use std::net::IpAddr;

/// The client's address. `peer` is the other end of the connection, `forwarded` the header `X-Forwarded-For` (empty if there is
/// none), and `trusted` are our proxies.
pub fn client(peer: IpAddr, forwarded: &str, trusted: &[IpAddr]) -> IpAddr {
    let mut known = peer;
    let mut entries = forwarded.rsplit(',');
    while trusted.contains(&known) {
        match entries.next().and_then(|entry| entry.trim().parse().ok()) {
            Some(address) => known = address,
            None => break,
        }
    }
    known
}
