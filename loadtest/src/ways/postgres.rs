//! The ways on PostgreSQL.

use super::way::Entry;

/// The ways on PostgreSQL.
pub const WAYS: &[Entry] = &[];
