//! The frequency cap of each buyer, in a Redis that all instances share.

use super::redis::Redis;

/// Requests of one buyer in a window.
pub const LIMIT: i64 = 6;
/// The length of a window in milliseconds.
pub const WINDOW_MS: u64 = 10_000;

/// Whether a request of this buyer is admitted.
pub fn admit(redis: &Redis, buyer_id: u64, now_ms: u64) -> bool {
    let key = format!("tries:{buyer_id}:{}", now_ms / WINDOW_MS);
    let tries = redis.get(&key);
    if tries >= LIMIT {
        return false;
    }
    redis.set(&key, tries + 1);
    true
}
