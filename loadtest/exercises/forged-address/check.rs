//! Requests that came different ways. There is nothing to change here.

use std::net::IpAddr;

use super::exercise::client;

/// Peer, header, the client, and what the case is about.
const CASES: [(&str, &str, &str, &str); 10] = [
    ("127.0.0.1", "198.51.100.7", "198.51.100.7", "one proxy"),
    ("127.0.0.1", "", "127.0.0.1", "a request of the proxy itself"),
    ("127.0.0.1", "1.1.1.1, 198.51.100.7", "198.51.100.7", "a client that forges the left end"),
    ("192.0.2.1", "1.1.1.1", "192.0.2.1", "a stranger without a proxy"),
    ("192.0.2.1", "", "192.0.2.1", "a stranger without a header"),
    ("127.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7", "two proxies of ours"),
    ("127.0.0.1", "10.0.0.2", "10.0.0.2", "one proxy as the client of the other"),
    ("127.0.0.1", "1.1.1.1, nonsense", "127.0.0.1", "an entry that is no address"),
    ("127.0.0.1", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2", "an entry that is no address, behind a proxy"),
    ("127.0.0.1", "2001:db8::1", "2001:db8::1", "a client with IPv6"),
];

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let address = |text: &str| text.parse::<IpAddr>().map_err(|error| error.to_string());
    let trusted = [address("127.0.0.1")?, address("10.0.0.2")?];
    for (peer, forwarded, expected, about) in CASES {
        let found = client(address(peer)?, forwarded, &trusted);
        if found != address(expected)? {
            return Err(format!("{about}: peer {peer}, header {forwarded:?}: counted as {found}, not as {expected}"));
        }
    }
    Ok(format!("{} requests, each counted by the address that no client can choose", CASES.len()))
}
