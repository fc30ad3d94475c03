//! `loadtest exercise`: from the list to the green line, and what it refuses.
//!
//! The exercises here depend on nothing, so a check is built in a second. Each test has one of its own, because two folders of one
//! exercise share the program that is built.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use crate::support::{assert_refused, loadtest};
use loadtest::exercise::catalogue::named;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn command(folder: &Path, args: &str) -> Command {
    let mut command = Command::new(loadtest());
    command.arg("exercise").args(args.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

fn run(folder: &Path, args: &str) -> Output {
    command(folder, args).output().unwrap()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A new folder with an exercise in it, and the file to change. It is the same folder in each run, so builds do not pile up.
fn started(name: &str) -> (PathBuf, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exercise_command").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let output = run(&folder, &format!("start {name}"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let work = folder.join(format!("oversold-exercise-{name}/src/exercise.rs"));
    assert_eq!(fs::read_to_string(&work).unwrap(), named(name).unwrap().start);
    (folder, work)
}

#[test]
fn an_exercise_is_listed_started_checked_and_solved() {
    let folder = tempfile::tempdir().unwrap();
    let list = run(folder.path(), "");
    assert!(list.status.success() && says(&list).contains("two-instances"), "{list:?}");
    let (folder, work) = started("ack");
    let (folder, solution) = (folder.as_path(), named("ack").unwrap().solution);

    let check = run(folder, "check");
    assert_eq!(check.status.code(), Some(1), "{check:?}");
    assert!(says(&check).starts_with("not yet: killed after call 1: the message ends as 0 orders"), "{check:?}");
    assert_refused(&run(folder, "solution"), "has not passed yet");
    assert!(says(&run(folder, "hint")).starts_with("Hint 1 of 3: The exhibit acknowledges first"));
    assert!(says(&run(folder, "hint oversold-exercise-ack")).starts_with("Hint 2 of 3"));
    assert_eq!(says(&run(folder, "solution --anyway")), solution);

    fs::write(&work, solution).unwrap();
    let check = run(folder, "check oversold-exercise-ack");
    assert_eq!(check.status.code(), Some(0), "{check:?}");
    assert!(says(&check).starts_with("passed: killed before and after each"), "{check:?}");
    assert_eq!(says(&run(folder, "solution")), solution);
    let inside = run(&folder.join("oversold-exercise-ack"), "check");
    assert_eq!(inside.status.code(), Some(0), "from inside of the folder: {inside:?}");
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_lost() {
    let (folder, work) = started("forged-address");
    let folder = folder.as_path();
    fs::write(&work, "// my work").unwrap();
    assert_refused(&run(folder, "start forged-address"), "has your work on forged-address, which is kept");
    assert_eq!(fs::read_to_string(&work).unwrap(), "// my work");
    assert_refused(&run(folder, "start conter"), "there is no exercise conter; there is counter");
    assert_refused(&run(folder, "start ack oversold-exercise-forged-address"), "is the folder of forged-address");
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    for action in ["check", "watch", "hint", "solution"] {
        assert_refused(&run(&empty, action), "there is no exercise here");
        assert_refused(&run(&empty, &format!("{action} ..")), "is not the folder of an exercise");
    }
    assert_refused(&run(&empty, "start ack /proc/nowhere"), "cannot write the exercise to /proc/nowhere");
}

#[test]
fn a_file_that_does_not_compile_and_one_that_panics_have_failed() {
    let (folder, work) = started("outbox");
    let check = || {
        let output = run(&folder, "check");
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        says(&output)
    };
    let checked = |text: &str| {
        fs::write(&work, text).unwrap();
        check()
    };
    let (start, line) = (named("outbox").unwrap().start, "servers.publish(order_id)?;");
    let says = checked(&start.replace(line, "servers.send(order_id)?;"));
    assert!(says.starts_with("does not compile\nerror[E0599]: no method named `send`"), "{says}");
    assert!(says.contains("src/exercise.rs:"), "{says}");
    let says = checked("pub fn other() {}");
    assert!(says.contains("unresolved imports `super::exercise::relay`, `super::exercise::reserve`"), "{says}");
    let says = checked(&start.replace(line, "panic!(\"too many\");"));
    assert!(says.starts_with("not yet: it panics at src/exercise.rs:") && says.contains(" too many\n"), "{says}");
    fs::remove_file(&work).unwrap();
    let says = check();
    assert!(says.contains("file not found for module `exercise`"), "{says}");
}

/// A `watch` that runs, and its lines.
fn watch(folder: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut watch = command(folder, "watch").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap());
    (watch, lines)
}

/// Reads lines up to one that contains this.
fn read_until(lines: &mut BufReader<ChildStdout>, what: &str) -> String {
    let mut line = String::new();
    while !line.contains(what) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended without {what}");
    }
    line
}

#[test]
fn a_watched_file_turns_green_when_it_is_saved() {
    let (folder, work) = started("reserve");
    let (mut watch, mut lines) = watch(&folder);
    read_until(&mut lines, "a unit came back, and the next buyer was refused");
    read_until(&mut lines, "Save oversold-exercise-reserve/src/exercise.rs to check again");
    fs::write(&work, "nonsense").unwrap();
    read_until(&mut lines, "does not compile");
    read_until(&mut lines, "to check again");
    // As many editors save: a new file in place of the old one.
    let new = work.with_extension("new");
    fs::write(&new, named("reserve").unwrap().solution).unwrap();
    fs::rename(&new, &work).unwrap();
    read_until(&mut lines, "passed: ");
    assert_eq!(watch.wait().unwrap().code(), Some(0));
}

#[test]
fn ctrl_c_ends_a_watch_and_leaves_the_work() {
    let (folder, work) = started("frequency-cap");
    let (mut watch, mut lines) = watch(&folder);
    read_until(&mut lines, "to check again");
    kill(Pid::from_raw(watch.id().cast_signed()), Signal::SIGINT).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!((watch.wait().unwrap().code(), rest.as_str()), (Some(130), ""));
    assert_eq!(fs::read_to_string(&work).unwrap(), named("frequency-cap").unwrap().start);
}
