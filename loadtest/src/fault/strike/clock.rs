//! An instance with a wrong clock.

use v1_naive::shop::sales::now_ms;

use super::target::Target;
use crate::buyer::client::Connection;

/// How far the clock is ahead: in `faketime`'s notation, and in minutes.
const AHEAD: (&str, i64) = ("+10m", 10);
const MINUTES_OF_A_DAY: i64 = 24 * 60;

impl Target<'_> {
    /// Kills an instance and restarts it with its clock ahead.
    pub(super) async fn skew(&mut self) -> anyhow::Result<()> {
        let shop = &mut self.shops[self.chosen];
        shop.kill().await?;
        shop.set_clock(AHEAD.0);
        shop.start_again().await
    }

    /// Whether the instance answers with the wrong time in its HTTP `Date` header.
    pub(super) async fn is_skewed(&mut self) -> bool {
        let asking = async {
            let reply = Connection::open(self.shops[self.chosen].address).await?.get("/healthz", None).await?;
            anyhow::Ok(reply.headers.get("date").and_then(|date| date.to_str().ok()).and_then(minute_of_the_day))
        };
        let Ok(Some(minute)) = asking.await else { return false };
        let ahead = (minute - now_ms() / 60_000).rem_euclid(MINUTES_OF_A_DAY);
        self.seen = format!("instance {} is {ahead} minutes ahead", self.chosen + 1);
        (ahead - AHEAD.1).abs() <= 1
    }
}

/// The minutes since midnight in an HTTP date, `Sat, 21 Nov 2026 18:42:45 GMT`.
fn minute_of_the_day(date: &str) -> Option<i64> {
    let mut numbers = date.split(' ').nth(4)?.split(':').map(|number| number.parse::<i64>().ok());
    Some(numbers.next()?? * 60 + numbers.next()??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minute_of_an_http_date() {
        assert_eq!(minute_of_the_day("Sat, 21 Nov 2026 18:42:45 GMT"), Some(18 * 60 + 42));
        assert_eq!(["", "Sat, 21 Nov 2026", "Sat, 21 Nov 2026 noon GMT"].map(minute_of_the_day), [None; 3]);
    }
}
