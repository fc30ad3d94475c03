//! How long a buyer waits after a conflict.

/// The wait in milliseconds after an attempt. The first attempt is number 0; `random` is from 0 to below 1, another one each time.
pub fn wait_ms(attempt: u32, random: f64) -> u64 {
    let _ = random;
    (20 << attempt.min(20)).min(4000)
}
