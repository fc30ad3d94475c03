//! Every connection is an open file, here and in the shop.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Files that are open beside the connections: the program's own, the pool's, the log.
const BESIDE: u64 = 200;

/// Makes room for `connections`; the shops inherit it.
///
/// # Errors
/// The limit is lower and cannot be raised that far; the message says what to do.
pub fn allow(connections: usize) -> anyhow::Result<()> {
    // Between looking and raising, nobody else of this process may raise it: the lower of the two limits would stay.
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
