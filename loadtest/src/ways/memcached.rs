//! The ways on Memcached.

use super::way::Entry;

/// The ways on Memcached.
pub const WAYS: &[Entry] = &[];
