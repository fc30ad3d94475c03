//! A sale, a unit that comes back, and every interleaving of two requests. There is nothing to change here.

use std::cell::Cell;

use super::{
    exercise::{STOCK, release, reserve},
    redis::Redis,
};

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let redis = Redis::default();
    redis.set(STOCK, 3);
    let reserved = (0..10).filter(|_| reserve(&redis)).count();
    if reserved != 3 {
        return Err(format!("3 units, 10 buyers: {reserved} have one"));
    }
    release(&redis);
    if !reserve(&redis) {
        let stock = redis.get(STOCK);
        return Err(format!("a unit came back, and the next buyer was refused: `{STOCK}` says {stock}"));
    }
    let mut interleavings = 0;
    for after in 1.. {
        let Some(reserved) = two_at_once(after) else { break };
        interleavings += 1;
        if reserved != 1 {
            return Err(format!(
                "one unit, two buyers, the second after call {after} of the first: {reserved} have it"
            ));
        }
    }
    for after in 1.. {
        let Some(reserved) = comes_back(after) else { break };
        interleavings += 1;
        if reserved != 1 {
            return Err(format!(
                "sold out; after call {after} of a buyer a unit comes back, and another buyer comes: {reserved} have it"
            ));
        }
    }
    Ok(format!("{interleavings} interleavings, and each unit has one buyer, also one that came back"))
}

/// How many of two buyers have the one unit; `None` if a reservation has fewer calls than `after`.
fn two_at_once(after: usize) -> Option<usize> {
    let reserved = Cell::new(0);
    let redis = Redis::default();
    redis.set(STOCK, 1);
    redis.run_after(after, |redis| reserved.set(reserved.get() + usize::from(reserve(redis))));
    let first = reserve(&redis);
    let has_run = !redis.forget_request();
    has_run.then(|| reserved.get() + usize::from(first))
}

/// How many buyers have the unit that comes back while one of them is being refused.
fn comes_back(after: usize) -> Option<usize> {
    let reserved = Cell::new(0);
    let redis = Redis::default();
    redis.run_after(after, |redis| {
        release(redis);
        reserved.set(usize::from(reserve(redis)));
    });
    let first = reserve(&redis);
    let has_run = !redis.forget_request();
    has_run.then(|| reserved.get() + usize::from(first))
}
