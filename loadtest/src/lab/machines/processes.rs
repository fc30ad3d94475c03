//! The processes of a machine, as they look from outside.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Sends a signal to all processes beside the first one. Returns how many changed their state by it: stopped ones are not stopped
/// again.
pub(super) fn signal_all(init: u32, signal: Signal) -> usize {
    let stops = signal == Signal::SIGSTOP;
    let others = beside(init).into_iter().filter(|(_, state)| (*state == 'T') != stops && *state != 'Z');
    others.filter(|(pid, _)| kill(Pid::from_raw(*pid as i32), signal).is_ok()).count()
}

/// Sends a signal to the processes of this name.
pub(super) fn signal_named(init: u32, name: &str, signal: Signal) {
    let is_named = |pid: u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    for (pid, _) in beside(init).into_iter().filter(|(pid, _)| is_named(*pid)) {
        let _ = kill(Pid::from_raw(pid as i32), signal); // it may have ended meanwhile
    }
}

/// The other processes that have the same list of processes as this one, with their states: `T` is stopped, `Z` has ended.
fn beside(init: u32) -> Vec<(u32, char)> {
    let list_of = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(list) = list_of(init) else { return Vec::new() };
    let state = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|&pid| pid != init);
    pids.filter(|&pid| list_of(pid).as_ref() == Some(&list)).filter_map(|pid| Some((pid, state(pid)?))).collect()
}
