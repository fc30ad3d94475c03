//! The ways on memcached, which keeps nothing on disk: it forgets the stock when it is killed.

mod cas;
mod decr;
mod store;

use super::way::Entry;
use crate::lab::servers::Server::Memcached;
use cas::Cas;
use decr::Decr;

/// The ways on memcached.
pub const WAYS: &[Entry] = &[
    Entry::new::<Decr>("memcached-decr", &[Memcached], "memcached is what you have, and its end may lose the count"),
    Entry::new::<Cas>(
        "memcached-cas",
        &[Memcached],
        "a value must be checked before it changes, and few buyers meet at it",
    ),
];
