//! The trap of this chapter: a change that looks like a solution and is none.

/// `--variant transaction`: the same four steps inside one read committed transaction. Still oversells.
pub mod transaction;
