//! Three machines on this one: what they leave, what they survive, and where they cannot be.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use crate::support::{assert_refused, executable, is_empty, loadtest, temporary, within};
use loadtest::{
    fault::MachineFault,
    record::faults::{Faults, Verdict},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const NO_NAMESPACES: &str = "--machines needs user namespaces, and this system does not allow them";

/// The processes that name this folder: the servers of the machines have their files there.
fn processes_with(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names_it = |pid: &u32| {
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        cwd.starts_with(folder) || String::from_utf8_lossy(&command).contains(folder)
    };
    pids.filter(names_it).collect()
}

/// Whether this system lets a program make namespaces of its own. Where it does not, asserts that `--machines` says so.
fn are_namespaces_allowed() -> bool {
    let needs = "mount -t tmpfs tmpfs /run && ip link add name bridge0 type bridge && \
                 ip link add name veth0 type veth peer name veth1";
    let user = ["--user", "--net", "--mount", "--map-user=1000", "--map-group=1000", "--keep-caps"];
    let status = Command::new("unshare").args(user).args(["sh", "-c", needs]).status();
    let allowed = status.is_ok_and(|status| status.success());
    if !allowed {
        let output = Command::new(loadtest()).args(["services", "--machines", "3"]).output().unwrap();
        assert_refused(&output, NO_NAMESPACES);
    }
    allowed
}

#[tokio::test]
#[ignore = "needs the programs of make machines"]
async fn machines_end_with_the_process_that_started_them_even_if_they_are_frozen() {
    if !are_namespaces_allowed() {
        return;
    }
    let folder = temporary();
    let at = folder.path().to_str().unwrap();
    let mut command = Command::new(loadtest());
    command.args(["services", "--machines", "3"]).env("TMPDIR", at).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut services = command.spawn().unwrap();
    let lines = BufReader::new(services.stdout.take().unwrap()).lines().map(Result::unwrap);
    let lines: Vec<String> = lines.take(7).collect();
    assert!(lines[1].starts_with("REDIS_URL=redis://10.77.0.1:6379/,redis://10.77.0.2:6379/,"), "{lines:?}");
    assert!(lines[6].starts_with("m3 10.77.0.3: nsenter --target "), "{lines:?}");
    let processes = processes_with(at);
    assert!(processes.len() > 20, "three times seven servers: {processes:?}");

    for pid in &processes[processes.len() / 2..] {
        let _ = kill(Pid::from_raw(*pid as i32), Signal::SIGSTOP);
    }
    kill(Pid::from_raw(services.id() as i32), Signal::SIGKILL).unwrap();
    services.wait().unwrap();
    let gone = async || processes_with(at).is_empty() && is_empty(folder.path());
    within(Duration::from_secs(30), "no process and no file is left", gone).await;
}

#[test]
#[ignore = "needs the programs of make machines"]
fn nobody_loses_a_confirmed_order_when_a_machine_is_killed() {
    if !are_namespaces_allowed() {
        return;
    }
    let (folder, results) = (temporary(), temporary());
    let file = results.path().join("faults.json");
    let mut command = Command::new(loadtest());
    command.args(["faults", "--machines", "3", "machine-killed", "--buyers", "400", "--stock", "100", "--json"]);
    let output = command.arg(&file).env("TMPDIR", folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mut played = Faults::read(&file).unwrap();
    let rounds = played.of(MachineFault::MachineKilled);
    let round = rounds.struck().next().expect("a valid round");
    assert_eq!((round.verdict, round.instances), (Verdict::Clean, 3));
    assert_eq!(round.strike.seen, "machine 1");
    assert!(round.strike.back_ms > round.strike.confirmed_ms, "orders are confirmed while the machine is away");
    assert!(is_empty(folder.path()), "the machines leave no file");
}

#[test]
fn a_missing_program_is_named_with_what_installs_it() {
    let mut command = Command::new(loadtest());
    let output = command.args(["services", "--machines", "3"]).env("PATH", "").output().unwrap();
    assert_refused(&output, "patroni");
    assert_refused(&output, "`make machines` installs what is missing");
}

#[test]
#[ignore = "needs the programs of make machines"]
fn a_system_that_refuses_namespaces_is_told_in_one_line() {
    let folder = temporary();
    executable(&folder.path().join("unshare"), "#!/bin/sh\necho unshare: Operation not permitted >&2; exit 1\n");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(loadtest());
    let output = command.args(["services", "--machines", "3"]).env("PATH", path).output().unwrap();
    assert_refused(&output, NO_NAMESPACES);
}

#[test]
fn a_fault_is_of_single_servers_or_of_three_machines() {
    let refused = |args: &[&str], why: &str| {
        let output = Command::new(loadtest()).arg("faults").args(args).output().unwrap();
        assert_refused(&output, why);
    };
    refused(&["machine-killed"], "machine-killed strikes one of three machines: add --machines 3");
    refused(&["--machines", "3", "redis-killed"], "redis-killed strikes single servers: leave --machines out");
}
