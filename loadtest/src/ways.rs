//! Every way to take one unit, side by side: no HTTP, real servers, one audit.
//!
//! [`way`] says what a way is. [`load`] is the crowd, [`mod@audit`] the audit, [`rounds`] what each way plays, and [`worker`] a second
//! selling process. Each file in `process`, `postgres`, `redis`, `memcached`, `zookeeper` and `mariadb` is one way: its
//! statements and nothing else. The module of each server lists its ways in `WAYS`.

pub mod audit;
pub mod load;
pub mod mariadb;
pub mod memcached;
pub mod postgres;
pub mod process;
pub mod redis;
pub mod rounds;
pub mod way;
pub mod worker;
pub mod zookeeper;

use way::Entry;

/// All ways, by the server that decides.
const FAMILIES: [&[Entry]; 6] =
    [process::WAYS, postgres::WAYS, redis::WAYS, memcached::WAYS, zookeeper::WAYS, mariadb::WAYS];

/// All ways, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.into_iter().flatten()
}

/// The way of this name.
pub fn named(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}
