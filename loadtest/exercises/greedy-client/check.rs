//! A greedy client, then honest ones. There is nothing to change here.

use super::exercise::{ALL, EACH, Limits};

const GREEDY: u32 = 0;
const REQUESTS: u32 = 1000;
/// Each sends one request.
const HONEST: u32 = 90;

/// Checks the exercise. The result is the line to show.
pub fn check() -> Result<String, String> {
    let mut limits = Limits::new();
    let greedy = (0..REQUESTS).filter(|_| limits.admit(GREEDY)).count();
    let honest = (1..=HONEST).filter(|client| limits.admit(*client)).count();
    if greedy != EACH as usize {
        return Err(format!("the greedy client was admitted {greedy} times of {REQUESTS}, and its limit is {EACH}"));
    }
    if honest != HONEST as usize {
        return Err(format!("after {REQUESTS} greedy requests, {honest} of {HONEST} honest clients were admitted"));
    }
    let mut crowd = Limits::new();
    let admitted = (0..REQUESTS).filter(|client| crowd.admit(*client)).count();
    if admitted != ALL as usize {
        return Err(format!("a crowd of {REQUESTS} was admitted {admitted} times, and the limit of all is {ALL}"));
    }
    Ok(format!("the greedy client got {greedy}, and all {honest} honest clients got theirs"))
}
