//! The trap of this chapter: what looks like a remedy and is none.

/// `--variant transaction`: the same four steps inside one read committed transaction. Still oversells.
pub mod transaction;
