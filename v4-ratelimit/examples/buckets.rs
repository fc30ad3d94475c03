//! Draws the book's picture of a leaky bucket and a token bucket with the same arrivals.
//!
//! ```text
//! cargo run -p v4-ratelimit --example buckets > docs/src/buckets.svg
//! ```

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    num::NonZeroU32,
    time::Duration,
};

use governor::{Quota, RateLimiter, clock::FakeRelativeClock};

/// Both buckets let 5 requests a second through on average, and both hold 10.
const RATE: NonZeroU32 = NonZeroU32::new(5).unwrap();
const HOLDS: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// The length of the time axis.
const SECONDS: f64 = 10.0;

fn main() -> io::Result<()> {
    io::stdout().write_all(svg().as_bytes())
}

/// The times of arrival in milliseconds: twenty at once, ten at intervals of 400 ms, and twenty at once again.
fn arrivals() -> Vec<u64> {
    let trickle = (1..=10).map(|n| 2000 + n * 400);
    let mut arrivals: Vec<u64> = [1000; 20].into_iter().chain(trickle).chain([7000; 20]).collect();
    arrivals.sort_unstable();
    arrivals
}

/// The times of service with a token bucket, as in chapter 4: a request that finds a token is served at once.
fn token_bucket(arrivals: &[u64]) -> Vec<u64> {
    let clock = FakeRelativeClock::default();
    let limiter = RateLimiter::direct_with_clock(Quota::per_second(RATE).allow_burst(HOLDS), clock.clone());
    let mut now = 0;
    let mut served = Vec::new();
    for &arrival in arrivals {
        clock.advance(Duration::from_millis(arrival - now));
        now = arrival;
        if limiter.check().is_ok() {
            served.push(arrival);
        }
    }
    served
}

/// The times of service with a leaky bucket: a request that finds room waits in the bucket, which serves at a constant rate.
fn leaky_bucket(arrivals: &[u64]) -> Vec<u64> {
    let drip = 1000 / u64::from(RATE.get());
    let mut served: Vec<u64> = Vec::new();
    for &arrival in arrivals {
        let waiting = served.iter().filter(|drop| **drop > arrival).count();
        if waiting < HOLDS.get() as usize {
            served.push(served.last().map_or(arrival, |last| (last + drip).max(arrival)));
        }
    }
    served
}

fn svg() -> String {
    let arrivals = arrivals();
    let curves = [
        ("arrived", &arrivals, "soft"),
        ("token bucket: the burst goes through at once", &token_bucket(&arrivals), "token"),
        ("leaky bucket: never faster than its drip", &leaky_bucket(&arrivals), "leaky"),
    ];
    let (left, right, top, bottom) = (40.0, 700.0, 20.0, 300.0);
    let x = |ms: f64| left + ms / 1e3 / SECONDS * (right - left);
    let y = |count: usize| bottom - count as f64 / arrivals.len() as f64 * (bottom - top);
    let mut svg = format!(
        "<line class=\"axis\" x1=\"{left}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
         <text class=\"label\" x=\"{left}\" y=\"318\">0 s</text>\
         <text class=\"label\" x=\"{right}\" y=\"318\" text-anchor=\"end\">{SECONDS} s</text>"
    );
    for (n, (name, times, class)) in curves.iter().enumerate() {
        let mut line = format!("M{:.1} {:.1}", x(0.0), y(0));
        for (count, &time) in times.iter().enumerate() {
            let _ = write!(line, "H{:.1}V{:.1}", x(time as f64), y(count + 1));
        }
        let _ = write!(
            svg,
            "<path class=\"{class}\" d=\"{line}H{right}\"/>\
             <line class=\"{class}\" x1=\"60\" x2=\"90\" y1=\"{key}\" y2=\"{key}\"/>\
             <text x=\"98\" y=\"{text}\">{name} ({})</text>",
            times.len(),
            key = 30 + n * 24,
            text = 35 + n * 24,
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 330\" role=\"img\" \
         aria-label=\"Requests served over time by a leaky and by a token bucket\"><style>\
         text{{font:14px system-ui,sans-serif;fill:#1c1b1a}}.label{{fill:#67625c}}.axis{{stroke:#aaa39a}}\
         path,line{{fill:none;stroke-width:2.5}}.soft{{stroke:#aaa39a}}.token{{stroke:#2c5f9e}}.leaky{{stroke:#b3261e}}\
         @media (prefers-color-scheme:dark){{text{{fill:#f2eee8}}.label{{fill:#aaa39a}}.token{{stroke:#8fbcf2}}\
         .leaky{{stroke:#ff8a7a}}}}</style>{svg}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_bucket_lets_a_burst_through_and_a_leaky_one_does_not() {
        let arrivals = arrivals();
        let at_once = |served: &[u64]| served.iter().filter(|time| **time == 1000).count();
        assert_eq!(at_once(&token_bucket(&arrivals)), 10);
        assert_eq!(at_once(&leaky_bucket(&arrivals)), 1);
        let gaps = leaky_bucket(&arrivals).windows(2).map(|pair| pair[1] - pair[0]).min();
        assert_eq!(gaps, Some(200));
    }

    #[test]
    fn the_books_picture_is_this_one() {
        assert_eq!(include_str!("../../docs/src/buckets.svg"), svg(), "make pictures");
    }
}
