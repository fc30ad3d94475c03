//! Wrong: the increment is atomic, but the decision was made before it.

use super::redis::Redis;

/// Requests of one buyer in a window.
pub const LIMIT: i64 = 6;
/// The length of a window in milliseconds.
pub const WINDOW_MS: u64 = 10_000;

/// Whether a request of this buyer is admitted.
pub fn admit(redis: &Redis, buyer_id: u64, now_ms: u64) -> bool {
    let key = format!("tries:{buyer_id}:{}", now_ms / WINDOW_MS);
    if redis.get(&key) >= LIMIT {
        return false;
    }
    redis.incr_by(&key, 1);
    true
}
