//! This test runs in its own process, because it measures the memory of the whole process.

use std::fs;

/// Sends the IP addresses of a botnet through the limit, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_million_clients_take_no_more_memory_than_one() {
    let limits: v4_ratelimit::Config =
        clap::Parser::try_parse_from(["v4", "--global-rate", "10000000", "--global-burst", "10000000"]).unwrap();
    let limit = v4_ratelimit::rate_limit::RateLimit::new(&limits.limits).unwrap();
    let admit = async |n: u32| limit.admit(std::net::Ipv4Addr::from_bits(n).into()).await.is_ok();
    admit(0).await;
    let before = resident_bytes();
    let mut admitted = 0;
    for n in 1..=1_000_000_u32 {
        admitted += u32::from(admit(n.wrapping_mul(2_654_435_761)).await);
    }
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 1 << 20, "{grown} bytes more for a million addresses; 512 KiB of buckets were there before");
    // 65,536 places with ten tokens each: a client that shares its place with 14 others does not always find a token.
    assert!((600_000..=1_000_000).contains(&admitted), "{admitted}");
}

fn resident_bytes() -> usize {
    let pages: usize = fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
