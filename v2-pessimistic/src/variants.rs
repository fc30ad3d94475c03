//! The traps of this chapter: other places to put the lock.

/// `--variant insert-first`: insert the order, then lock the row. Deadlocks.
pub mod insert_first;
/// `--variant process-lock`: a mutex in this process. Holds until there are two of them.
pub mod process_lock;
/// `--variant serializable`: no lock; the database refuses what would not have happened one by one. Holds, by retries.
pub mod serializable;
