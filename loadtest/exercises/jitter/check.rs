//! Plays a crowd on one row, without a database and without a clock. There is nothing to change here.

use std::collections::BTreeMap;

use super::exercise::wait_ms;

const BUYERS: usize = 400;
const RETRIES: u32 = 10;
const LONGEST_MS: u64 = 4000;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    for attempt in [0, 1, 9, 20, 63, 64, 100] {
        for random in [0.0, 0.5, 0.999_999] {
            let wait = wait_ms(attempt, random);
            if wait > LONGEST_MS {
                return Err(format!("after attempt {attempt} the wait is {wait} ms; the most is {LONGEST_MS} ms"));
            }
        }
    }
    let mut most_retries = 0;
    for seed in 1..=5 {
        let (sold, retries) = crowd(seed);
        if sold < BUYERS {
            return Err(format!("{sold} of {BUYERS} buyers succeeded, the others gave up after {RETRIES} retries"));
        }
        most_retries = most_retries.max(retries);
    }
    Ok(format!("{BUYERS} of {BUYERS} buyers succeeded, with at most {most_retries} retries"))
}

/// How many of the crowd succeed, and the most retries of one of them.
fn crowd(seed: u64) -> (usize, u32) {
    let mut random = Random(seed);
    let mut due: BTreeMap<u64, Vec<u32>> = BTreeMap::from([(0, vec![0; BUYERS])]);
    let (mut sold, mut most) = (0, 0);
    while let Some((now, attempts)) = due.pop_first() {
        let winner = (random.next() * attempts.len() as f64) as usize;
        for (n, attempt) in attempts.into_iter().enumerate() {
            if n == winner {
                sold += 1;
                most = most.max(attempt);
            } else if attempt < RETRIES {
                let wait = wait_ms(attempt, random.next());
                due.entry(now + 1 + wait).or_default().push(attempt + 1);
            }
        }
    }
    (sold, most)
}

/// Numbers from 0 to below 1 (xorshift), the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
