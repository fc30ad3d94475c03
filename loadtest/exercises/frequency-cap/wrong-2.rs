//! Wrong: it counts first, but then reads a count that another request has raised, so two requests refuse each other.

use super::redis::Redis;

/// Requests of one buyer in a window.
pub const LIMIT: i64 = 6;
/// The length of a window in milliseconds.
pub const WINDOW_MS: u64 = 10_000;

/// Whether a request of this buyer is admitted.
pub fn admit(redis: &Redis, buyer_id: u64, now_ms: u64) -> bool {
    let key = format!("tries:{buyer_id}:{}", now_ms / WINDOW_MS);
    redis.incr_by(&key, 1);
    redis.get(&key) <= LIMIT
}
