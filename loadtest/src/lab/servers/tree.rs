//! Process trees: which process is whose child.

use std::{fs, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Kills a process with all its descendants (SIGKILL), and returns when the descendants are gone. The parent of the process has
/// to wait for the process itself.
///
/// A process group is not enough: each session of PostgreSQL and each helper of RabbitMQ creates its own group. Without `/proc`,
/// the children end by themselves shortly after their parent.
pub(in crate::lab) fn kill_all(root: Pid) {
    let _ = kill(root, Signal::SIGSTOP); // It must not start children while we list them.
    let descendants = descendants(root);
    for pid in descendants.iter().chain([&root]) {
        let _ = kill(*pid, Signal::SIGKILL);
    }
    while descendants.iter().any(|pid| parent(*pid).is_some()) {
        std::thread::sleep(Duration::from_millis(5)); // SIGKILL cannot be ignored.
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

/// The parent's process id; `None` if the process has ended, even if it is still a zombie.
fn parent(pid: Pid) -> Option<Pid> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The line is `PID (NAME) STATE PARENT …`, and a name may contain any character.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let runs = !["Z", "X"].contains(&fields.next()?);
    runs.then_some(Pid::from_raw(fields.next()?.parse().ok()?))
}
