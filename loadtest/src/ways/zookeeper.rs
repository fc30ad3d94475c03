//! The ways on ZooKeeper.

use super::way::Entry;

/// The ways on ZooKeeper.
pub const WAYS: &[Entry] = &[];
