//! Wrong clocks: `faketime` starts a program with a shifted clock.

use std::{fs, path::Path, process::Command};

/// Whether `faketime` is installed, so that a shop can run with a wrong clock.
pub(crate) fn is_installed() -> bool {
    Command::new("faketime").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Removes the shared memory that `faketime` leaves behind for processes that were killed. Without this, `faketime` does not
/// start when the system reuses one of their process ids.
pub fn remove_leftovers() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            let number = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"))?;
            number.parse::<u32>().ok()
        });
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_file(entry.path()); // it fails if another user owns it
        }
    }
}
