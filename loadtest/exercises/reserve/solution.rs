//! Reserves units of a sale in Redis: one script compares and takes, so the stock is never below zero.

use super::redis::Redis;

/// The key with the number of units that are left.
pub const STOCK: &str = "stock";

/// Takes a unit. True if the buyer has one.
pub fn reserve(redis: &Redis) -> bool {
    redis.script(|keys| {
        let stock = keys.entry(STOCK.into()).or_default();
        let has_one = *stock > 0;
        *stock -= i64::from(has_one);
        has_one
    })
}

/// A unit comes back, because its order was not paid.
pub fn release(redis: &Redis) {
    redis.incr_by(STOCK, 1);
}
