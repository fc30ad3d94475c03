//! Wrong: full jitter, but the wait does not grow. Twenty milliseconds have room for twenty buyers in each round.

/// The wait in milliseconds after an attempt. The first attempt is number 0; `random` is from 0 to below 1, another one each time.
pub fn wait_ms(_attempt: u32, random: f64) -> u64 {
    (random * 20.0) as u64
}
