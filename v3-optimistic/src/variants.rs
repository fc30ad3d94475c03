//! Two neighbours of this chapter: one step too few, and one column too few that turns out not to be needed.

/// `--variant conditional`: the condition in the update itself. Holds, without a version.
pub mod conditional;
/// `--variant no-retry`: the first conflict is the answer. Stock stays unsold.
pub mod no_retry;
