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

/// A token bucket for each client, in a fixed number of places.
///
/// A client's place is drawn from its address with a key that is new in each process, so that nobody can aim at
/// another's. Two clients at one place share its bucket; an attacker with a hundred addresses among 65,536 places meets one
/// honest client in 650. In return nothing grows and nothing has to be swept: a place takes 8 bytes for ever.
pub struct ClientBuckets(RateLimiter<IpAddr, Places, DefaultClock>);

struct Places {
    states: Box<[InMemoryState]>,
    draw: RandomState,
}

impl ClientBuckets {
    /// Full buckets.
    pub fn new(quota: Quota, places: usize) -> Self {
        let states = (0..places.max(1)).map(|_| InMemoryState::default()).collect();
        let places = Places { states, draw: RandomState::new() };
        ClientBuckets(RateLimiter::new(quota, places, DefaultClock::default()))
    }

    /// Takes a token from the client's bucket.
    ///
    /// # Errors
    /// It is empty; with the time until there is a token.
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
