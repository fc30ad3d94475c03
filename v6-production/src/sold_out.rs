//! The local flag of sold-out sales. When the last unit is sold, `reserve.lua` publishes `sold-out`, and each instance refuses
//! purchases of this sale by itself. The flag is a hint, valid for one second. While it is set, the instance asks Redis whether
//! units are left, and renews it if there are none. So a lost message costs a second, and no unit is lost.

use std::{
    collections::HashMap,
    sync::RwLock,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{app::App, redis_store::RedisStore, supervise};

/// How long the flag is valid.
const LAPSES: Duration = Duration::from_secs(1);
/// How often Redis is asked about all flagged sales: twice before a flag expires.
const RENEWED_EVERY: Duration = Duration::from_millis(400);

/// The sold-out sales, and when the flag of each was set.
#[derive(Default)]
pub(crate) struct SoldOut(RwLock<HashMap<i64, Instant>>);

impl SoldOut {
    /// Whether the flag of this sale is set and valid.
    pub(crate) fn is(&self, sale_id: i64) -> bool {
        self.0.read().is_ok_and(|sales| sales.get(&sale_id).is_some_and(|since| since.elapsed() < LAPSES))
    }

    /// Sets the flag of this sale for one second.
    pub(crate) fn set(&self, sale_id: i64) {
        if let Ok(mut sales) = self.0.write() {
            sales.insert(sale_id, Instant::now());
        }
    }

    fn clear(&self, sale_id: i64) {
        if let Ok(mut sales) = self.0.write() {
            sales.remove(&sale_id);
        }
    }

    /// The sales with a valid flag. The others are forgotten.
    fn flagged(&self) -> Vec<i64> {
        let Ok(mut sales) = self.0.write() else { return Vec::new() };
        sales.retain(|_, since| since.elapsed() < LAPSES);
        sales.keys().copied().collect()
    }

    /// Renews the flag of this sale, which had no unit left at the time `asked`. A flag that was cleared meanwhile stays cleared: a
    /// unit has come back since.
    fn renew(&self, sale_id: i64, asked: Instant) {
        if let Ok(mut sales) = self.0.write()
            && let Some(since) = sales.get_mut(&sale_id)
        {
            *since = asked.max(*since);
        }
    }

    /// Renews the flags of open sales without units, until the shop stops. Otherwise a flag would lapse as soon as nobody buys.
    pub(crate) async fn keep_fresh(&self, app: &App) {
        let renew = || async move {
            let _ = app.stop.run_until_cancelled(sleep(RENEWED_EVERY)).await;
            let (flagged, asked) = (self.flagged(), Instant::now());
            let sales = app.catalogue.all();
            for (sale_id, found) in app.redis.made(&flagged).await? {
                let is_open = |epoch, closes_at| found.epoch == epoch && app.now_ms(sale_id) < closes_at;
                let is_open = sales.get(&sale_id).is_some_and(|sale| is_open(sale.epoch, sale.closes_at));
                if is_open && found.left.is_some_and(|left| left <= 0) {
                    self.renew(sale_id, asked);
                }
            }
            Ok(())
        };
        supervise::keep("sold-out sales", &app.stop, renew).await;
    }

    /// Listens for sales that are sold out or have units again, until `stop`.
    pub(crate) async fn listen(&self, redis: &RedisStore, stop: &CancellationToken) {
        let channel = &redis.channel("stock");
        let listen = || async move {
            let mut listener = redis.listen(channel).await?;
            while let Some(message) = stop.run_until_cancelled(listener.next()).await {
                let text: String = message?.get_payload()?;
                match text.split_once(' ').map(|(what, sale)| (what, sale.parse())) {
                    Some(("sold-out", Ok(sale_id))) => self.set(sale_id),
                    Some(("restocked", Ok(sale_id))) => self.clear(sale_id),
                    _ => tracing::warn!("strange news of stock: {text}"),
                }
            }
            Ok(())
        };
        supervise::keep("news of stock", stop, listen).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_was_cleared_is_not_renewed() {
        let (sold_out, long_ago) = (SoldOut::default(), Instant::now() - LAPSES);
        let flag = |at| sold_out.0.write().unwrap().insert(1, at);
        flag(long_ago);
        assert!(!sold_out.is(1), "it has lapsed");
        sold_out.renew(1, Instant::now());
        assert!(sold_out.is(1));
        sold_out.renew(1, long_ago);
        assert!(sold_out.is(1), "an answer that was late takes no time away");

        let asked = Instant::now();
        sold_out.clear(1);
        sold_out.renew(1, asked);
        assert!(!sold_out.is(1), "a unit has come back");

        flag(long_ago);
        assert!(sold_out.flagged().is_empty());
        flag(Instant::now());
        assert_eq!(sold_out.flagged(), [1]);
    }
}
