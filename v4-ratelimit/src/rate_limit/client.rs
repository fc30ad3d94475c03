use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The client's IP address: that of the peer, unless the peer is a trusted proxy. A proxy appends its client's address at the
/// *right* end of `X-Forwarded-For`. Everything further left came from outside and may be forged. So the header is read from right
/// to left, as long as the address found is a trusted proxy.
///
/// If a part of the header is malformed, the last address that was found before it counts.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_ours = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut known = peer.to_canonical();
    // Several headers form one list, in their order.
    let mut hops =
        headers.get_all("x-forwarded-for").iter().rev().flat_map(|line| line.as_bytes().rsplit(|&b| b == b','));
    while is_ours(known) {
        match hops.next().and_then(hop) {
            Some(address) => known = address,
            None => break,
        }
    }
    known
}

/// One address in the header. Some proxies add a port.
fn hop(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok();
    address.map(|address: IpAddr| address.to_canonical())
}

/// The address that the rate limit counts by. Of an IPv6 address it is the first 64 bits, because a customer usually has a whole
/// /64 and could use a new address for each request.
pub fn bucket(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// Parses a network, or an IP address as a network of one address.
///
/// # Errors
/// The text is neither of them.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || IpAddr::from_str(text).map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| format!("{text:?} is no address and no network like 10.0.0.0/8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen_as(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|text| network(text).unwrap());
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        for (peer, lines, client) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"), // a stranger says what it likes
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("127.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"), // made up on the left
            ("127.0.0.1", &["1.1.1.1, 198.51.100.7, 10.1.2.3"], "198.51.100.7"), // two proxies of ours
            ("127.0.0.1", &["1.1.1.1", "198.51.100.7,10.1.2.3"], "198.51.100.7"), // in two lines
            ("127.0.0.1", &["10.9.9.9, 10.1.2.3"], "10.9.9.9"),        // all ours: the outermost
            ("::ffff:127.0.0.1", &["198.51.100.7"], "198.51.100.7"),   // a socket for both families
        ] {
            assert_eq!(seen_as(peer, lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn what_makes_no_sense_ends_the_search() {
        for (line, client) in [
            ("198.51.100.7, unknown", "127.0.0.1"),
            ("198.51.100.7, ", "127.0.0.1"),
            ("198.51.100.7, 10.1.2.3, x, 10.4.5.6", "10.4.5.6"),
            ("999.1.1.1", "127.0.0.1"),
            ("\u{fc}", "127.0.0.1"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(seen_as("127.0.0.1", &[line]), client, "{line}");
        }
        assert_eq!(seen_as("127.0.0.1", &["1.1.1.1,".repeat(5000).as_str()]), "127.0.0.1");
    }

    #[test]
    fn a_64_is_one_client() {
        let [a, b, c] =
            ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"].map(|text| bucket(text.parse().unwrap()));
        assert!(a == b && a != c);
        assert_eq!(bucket("192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }
}
