//! Two requests of one buyer, in every interleaving. There is nothing to change here.

use std::cell::Cell;

use super::{
    exercise::{LIMIT, WINDOW_MS, admit},
    redis::Redis,
};

const BUYER: u64 = 7;
const NOW: u64 = 3 * WINDOW_MS + 5;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let redis = Redis::default();
    let admits = |buyer, now| (0..2 * LIMIT).filter(|_| admit(&redis, buyer, now)).count() as i64;
    for (buyer, now, about) in [
        (BUYER, NOW, "one after the other"),
        (BUYER + 1, NOW, "by another buyer"),
        (BUYER, NOW + WINDOW_MS, "in the next window"),
    ] {
        let admitted = admits(buyer, now);
        if admitted != LIMIT {
            return Err(format!("{} requests {about}: {admitted} admitted, and the limit is {LIMIT}", 2 * LIMIT));
        }
    }
    let mut interleavings = 0;
    for before in 0..=LIMIT {
        for after in 1.. {
            let Some(admitted) = interleaved(before, after) else { break };
            interleavings += 1;
            if admitted != LIMIT {
                return Err(format!(
                    "{before} requests, then two at once, the second after call {after} of the first, then {LIMIT} more: \
                     {admitted} admitted, and the limit is {LIMIT}"
                ));
            }
        }
    }
    if interleavings == 0 {
        return Err("a request makes no call of Redis: another instance cannot see its count".into());
    }
    Ok(format!("{interleavings} interleavings, and {LIMIT} requests admitted in each"))
}

/// How many requests are admitted; `None` if a request has fewer calls than `after`.
fn interleaved(before: i64, after: usize) -> Option<i64> {
    let admitted = Cell::new(0);
    let redis = Redis::default();
    let count = |redis: &Redis| {
        if admit(redis, BUYER, NOW) {
            admitted.set(admitted.get() + 1);
        }
    };
    (0..before).for_each(|_| count(&redis));
    redis.run_after(after, count);
    count(&redis);
    if redis.forget_request() {
        return None;
    }
    (0..LIMIT).for_each(|_| count(&redis));
    Some(admitted.get())
}
