//! Wrong: a little jitter on a long wait. The crowd still meets within five milliseconds.

/// The wait in milliseconds after an attempt. The first attempt is number 0; `random` is from 0 to below 1, another one each time.
pub fn wait_ms(attempt: u32, random: f64) -> u64 {
    let wait = (20_u64 << attempt.min(20)).min(4000 - 5);
    wait + (random * 5.0) as u64
}
