//! The traps of this chapter: other ways to lock.

/// `--variant insert-first`: insert the order, then lock the row. Deadlocks.
pub mod insert_first;
/// `--variant process-lock`: a mutex in this process. Oversells with two instances.
pub mod process_lock;
/// `--variant serializable`: serializable isolation and retries instead of a lock. Does not oversell.
pub mod serializable;
