//! Two variants of this chapter: one without retries, which undersells, and one without the version column, which works.

/// `--variant conditional`: the condition is part of the update. Does not oversell, without a version.
pub mod conditional;
/// `--variant no-retry`: a conflict is not retried. Stock stays unsold.
pub mod no_retry;
