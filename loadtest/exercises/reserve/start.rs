//! Reserves units of a sale in Redis.

use super::redis::Redis;

/// The key with the number of units that are left.
pub const STOCK: &str = "stock";

/// Takes a unit. True if the buyer has one.
pub fn reserve(redis: &Redis) -> bool {
    redis.incr_by(STOCK, -1) >= 0
}

/// A unit comes back, because its order was not paid.
pub fn release(redis: &Redis) {
    redis.incr_by(STOCK, 1);
}
