//! Wrong: it gives back after a refusal. Until then the stock is too low, and a buyer is refused although a unit is there.

use super::redis::Redis;

/// The key with the number of units that are left.
pub const STOCK: &str = "stock";

/// Takes a unit. True if the buyer has one.
pub fn reserve(redis: &Redis) -> bool {
    let has_one = redis.incr_by(STOCK, -1) >= 0;
    if !has_one {
        redis.incr_by(STOCK, 1);
    }
    has_one
}

/// A unit comes back, because its order was not paid.
pub fn release(redis: &Redis) {
    redis.incr_by(STOCK, 1);
}
