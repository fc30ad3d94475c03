use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    nanos::Nanos,
    state::{InMemoryState, NotKeyed, StateStore},
};

/// A token bucket for each client, in a fixed number of places of 8 bytes.
///
/// A client's place is a hash of its IP address. The hash key is random in each process, so an attacker cannot choose a victim's
/// place. Two clients in one place share a bucket: an attacker with 100 addresses among 65,536 places affects one honest client in
/// 650. In return, the memory does not grow, and old buckets need no clean-up.
pub struct ClientBuckets(RateLimiter<IpAddr, Places, DefaultClock>);

struct Places {
    states: Box<[InMemoryState]>,
    draw: RandomState,
}

impl ClientBuckets {
    /// Full buckets, in at least one place.
    pub fn new(quota: Quota, places: usize) -> Self {
        let states = (0..places.max(1)).map(|_| InMemoryState::default()).collect();
        let places = Places { states, draw: RandomState::new() };
        ClientBuckets(RateLimiter::new(quota, places, DefaultClock::default()))
    }

    /// Takes a token from the client's bucket.
    ///
    /// # Errors
    /// The bucket is empty. The error is the time until there is a token.
    pub fn take(&self, client: IpAddr) -> Result<(), Duration> {
        self.0.check_key(&client).map_err(|not_until| not_until.wait_time_from(self.0.clock().now()))
    }
}

impl StateStore for Places {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, client: &IpAddr, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let place = self.draw.hash_one(client) as usize % self.states.len();
        self.states[place].measure_and_replace(&NotKeyed::NonKey, f)
    }
}
