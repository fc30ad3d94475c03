//! The limit of open files: every connection needs one in this process, and one in the shop.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Open files besides the connections: the program's own, the database pool's and the log.
const BESIDE: u64 = 200;

/// Raises this process's limit for this many connections. Shops inherit the limit.
///
/// # Errors
/// The limit cannot be raised that far. The message says how to raise it.
pub fn allow(connections: usize) -> anyhow::Result<()> {
    // Reading and raising must not interleave with another thread's, or the lower of the two limits would remain.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let needed = connections as u64 + BESIDE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read the limit of open files")?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed || setrlimit(Resource::RLIMIT_NOFILE, needed, hard).is_err() {
        bail!(
            "{connections} connections need {needed} open files, and {hard} are allowed here: \
             raise the limit (`ulimit -Hn {needed}` as root) or pass --connections {}",
            hard.saturating_sub(BESIDE)
        );
    }
    Ok(())
}
