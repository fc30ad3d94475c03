//! Clocks that are wrong: `faketime` starts a program on a machine whose clock is another.

use std::{fs, path::Path, process::Command};

/// Whether a shop can be started with a clock that is wrong: whether `faketime` is installed.
pub(crate) fn is_installed() -> bool {
    Command::new("faketime").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Removes what `faketime` leaves in shared memory, under the number of a process, when that process is killed: it does not start under
/// a number that was used before.
pub fn remove_leftovers() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            let number = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"))?;
            number.parse::<u32>().ok()
        });
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_file(entry.path()); // or it is somebody else's
        }
    }
}
