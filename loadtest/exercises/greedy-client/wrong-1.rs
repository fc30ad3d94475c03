//! Wrong: the order is right, but both tokens are taken before either answer is looked at.

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
        let (own, global) = (take(self.clients.entry(client).or_insert(EACH)), take(&mut self.all));
        own && global
    }
}
