//! The ways on Redis.

use super::way::Entry;

/// The ways on Redis.
pub const WAYS: &[Entry] = &[];
