//! How long a buyer waits after a conflict: exponential back-off with full jitter.

/// The wait in milliseconds after an attempt. The first attempt is number 0; `random` is from 0 to below 1, another one each time.
pub fn wait_ms(attempt: u32, random: f64) -> u64 {
    let longest = (20_u64 << attempt.min(20)).min(4000);
    (random * longest as f64) as u64
}
