//! Which process is whose child.

use std::{fs, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Ends a process with its children and theirs, and returns when the children are gone. The process itself is left to
/// its parent to wait for.
///
/// A process group does not do it: each session of PostgreSQL and each helper of RabbitMQ makes a group of its own.
/// Where there is no `/proc`, the children go by themselves, a moment after the process that they belong to.
pub(super) fn kill_all(root: Pid) {
    let _ = kill(root, Signal::SIGSTOP); // It starts nobody else while we look.
    let descendants = descendants(root);
    for pid in descendants.iter().chain([&root]) {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    while descendants.iter().any(|pid| parent(*pid).is_some()) {
        std::thread::sleep(Duration::from_millis(5)); // SIGKILL always comes through.
    }
}

fn descendants(root: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).map(Pid::from_raw);
    let processes: Vec<_> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![root];
    for next in 0.. {
        let Some(&member) = found.get(next) else { break };
        found.extend(processes.iter().filter(|(_, its_parent)| *its_parent == member).map(|(pid, _)| *pid));
    }
    found.split_off(1)
}

/// The parent of a process; None if it has ended, even if nobody has waited for it yet.
fn parent(pid: Pid) -> Option<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // PID (NAME) STATE PARENT …, and a name may have anything in it.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let runs = !["Z", "X"].contains(&fields.next()?);
    runs.then_some(Pid::from_raw(fields.next()?.parse().ok()?))
}
