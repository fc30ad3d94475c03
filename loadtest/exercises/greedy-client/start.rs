//! The rate limit: a bucket for each client, and one for all.

use std::collections::HashMap;

/// Tokens of each client, in this second.
pub const EACH: u32 = 5;
/// Tokens of all clients together, in this second.
pub const ALL: u32 = 100;

/// The buckets of one second.
pub struct Limits {
    all: u32,
    clients: HashMap<u32, u32>,
}

/// Takes a token, if there is one.
fn take(tokens: &mut u32) -> bool {
    let has_one = *tokens > 0;
    *tokens -= u32::from(has_one);
    has_one
}

impl Limits {
    /// Full buckets.
    pub fn new() -> Limits {
        Limits { all: ALL, clients: HashMap::new() }
    }

    /// Whether a request of this client is admitted.
    pub fn admit(&mut self, client: u32) -> bool {
        if !take(&mut self.all) {
            return false;
        }
        take(self.clients.entry(client).or_insert(EACH))
    }
}
