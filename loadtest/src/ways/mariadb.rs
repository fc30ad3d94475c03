//! The ways on MariaDB.

use super::way::Entry;

/// The ways on MariaDB.
pub const WAYS: &[Entry] = &[];
