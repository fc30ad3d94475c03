//! The museum: each exhibit breaks as announced, its fix holds under the same attack, and the command tells them apart.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use loadtest::{
    museum::{EXHIBITS, Exhibit, Form, named},
    render,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::support::{assert_refused, is_empty, lab, loadtest, temporary};

/// Plays an exhibit in both forms.
async fn breaks_and_is_repaired(exhibit: &Exhibit, database: &str) {
    let lab = lab(database).await;
    let name = exhibit.name;
    // Races are random, and a busy machine may play the buyers one after the other.
    let mut wrong = exhibit.play(&lab, Form::Wrong).await.unwrap();
    for _ in 1..5 {
        if wrong.broke(exhibit.finding) {
            break;
        }
        eprintln!("once more: {}", wrong.line);
        wrong = exhibit.play(&lab, Form::Wrong).await.unwrap();
    }
    assert!(wrong.broke(exhibit.finding), "{name} did not break: {}", wrong.line);
    assert!(!wrong.holds(), "{name}: {}", wrong.line);
    let fixed = exhibit.play(&lab, Form::Fixed).await.unwrap();
    assert!(fixed.holds() && !fixed.broke(exhibit.finding), "the fix of {name} does not hold: {}", fixed.line);
    assert_eq!(wrong.picture.is_some(), exhibit.has_lanes() && database == "postgres", "{name}");
    lab.close().await;
}

/// Plays those of these exhibits that need no server.
async fn play(names: &[&str]) {
    for name in names {
        breaks_and_is_repaired(named(name).unwrap(), "sqlite").await;
    }
}

const CROWDS: [&str; 4] = ["lost-update", "one-too-many", "lock-in-process", "no-retry"];
const GATES: [&str; 4] = ["limiter-ignored", "cap-read-then-write", "ids-added", "window-on-the-page"];
const SMALL_SALES: [&str; 5] =
    ["sold-out-for-ever", "publish-without-outbox", "queued-for-ever", "retry-sells-twice", "release-twice"];

#[tokio::test(flavor = "multi_thread")]
async fn exhibits_about_stock_break_in_a_crowd_and_their_fixes_hold() {
    play(&CROWDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhibits_about_gates_break_under_an_attack_and_their_fixes_hold() {
    play(&GATES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exhibits_about_the_order_of_events_break_and_their_fixes_hold() {
    play(&SMALL_SALES).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn exhibits_on_servers_break_and_their_fixes_hold() {
    for exhibit in EXHIBITS.into_iter().filter(|exhibit| !exhibit.servers.is_empty()) {
        breaks_and_is_repaired(exhibit, exhibit.database()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL: make test"]
async fn exhibits_of_chapters_draw_their_lanes() {
    for exhibit in EXHIBITS.into_iter().filter(|exhibit| exhibit.servers.is_empty() && exhibit.has_lanes()) {
        breaks_and_is_repaired(exhibit, "postgres").await;
    }
}

#[test]
fn no_exhibit_is_left_out() {
    let without: Vec<_> = EXHIBITS.iter().filter(|exhibit| exhibit.servers.is_empty()).collect();
    assert_eq!(without.len(), CROWDS.len() + GATES.len() + SMALL_SALES.len());
    assert!(without.iter().all(|exhibit| [&CROWDS[..], &GATES, &SMALL_SALES].concat().contains(&exhibit.name)));
    assert!(EXHIBITS.len() >= 14);
}

/// The command, run in `folder`.
fn museum(args: &str, folder: &Path) -> Command {
    let mut command = Command::new(loadtest());
    command.arg("museum").args(args.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

fn output(args: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    museum(args, folder.path()).output().unwrap()
}

#[test]
fn the_list_has_each_exhibit_and_what_catches_it() {
    let output = output("");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for exhibit in EXHIBITS {
        let mut after = text.lines().skip_while(|line| !line.starts_with(&format!("{} ", exhibit.name)));
        assert!(after.nth(2).is_some_and(|line| line.contains(exhibit.attack)), "{}: {text}", exhibit.name);
    }
}

#[test]
fn a_play_names_the_mistake_the_catch_the_audit_and_the_fix() {
    let output = output("release-twice");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "release-twice: two jobs end",
        "code: loadtest/src/museum/release_twice.rs",
        "seen: woocommerce/woocommerce#22489",
        "caught: two jobs find the same unpaid order",
        "audit: stock 10, orders 11, `sold` says 10: 1 oversold",
        "fix: compare-and-swap on the status",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A play in a scenario says what broke, and not what the table of versions promises.
#[test]
fn a_scenario_says_what_broke_and_what_the_fix_does() {
    let wrong = String::from_utf8(output("one-too-many").stdout).unwrap();
    assert!(wrong.contains("400 buyers for 100 units: more orders than stock\naudit: 100 in stock, "), "{wrong}");
    assert!(wrong.contains(" oversold") && !wrong.contains("promised"), "{wrong}");
    let fixed = String::from_utf8(output("one-too-many --fixed").stdout).unwrap();
    assert!(fixed.contains("played with the fix: ") && !fixed.contains("promised"), "{fixed}");
    assert!(fixed.contains("audit: 100 in stock, 100 sold") && fixed.contains(": nothing is wrong\n"), "{fixed}");
}

/// The command's own mutant: the fix, played as if it were the exhibit, does not break.
#[test]
fn an_exhibit_that_does_not_break_fails() {
    let fixed = output("release-twice --fixed");
    assert_eq!(fixed.status.code(), Some(0), "{fixed:?}");
    assert!(String::from_utf8_lossy(&fixed.stdout).contains("the fix holds: two jobs"));
    let mutant = output("release-twice --mutant");
    assert_eq!(mutant.status.code(), Some(2), "{mutant:?}");
    assert!(String::from_utf8_lossy(&mutant.stdout).contains("NOT CAUGHT: two jobs"));
}

#[test]
fn an_unknown_name_is_answered_with_a_near_one() {
    assert_refused(&output("relaese-twice"), "do you mean retry-sells-twice or release-twice?");
    assert_refused(&output("nothing"), "`loadtest museum` lists them");
}

#[test]
fn a_missing_server_is_one_line_with_what_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let output = museum("decr-below-zero", folder.path()).env("PATH", folder.path()).output().unwrap();
    assert_refused(&output, "decr-below-zero cannot be played: Redis is not installed; `make services` installs it");
    assert!(output.stdout.is_empty());
}

#[test]
#[ignore = "needs PostgreSQL: make test"]
fn lanes_are_drawn_with_an_explanation() {
    let output = output("transaction-only");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("the row") && text.contains("LOST UPDATE") && text.contains("is a lost update"), "{text}");
}

/// The forger waits for URLs to expire, so the play lasts some seconds.
#[test]
fn ctrl_c_ends_a_play_and_leaves_nothing() {
    let (temporary, folder) = (temporary(), tempfile::tempdir().unwrap());
    let mut command = museum("ids-added", folder.path());
    let mut child =
        command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    progress.find(|line| line.ends_with('…')).expect("it plays");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(is_empty(temporary.path()), "something stays behind");
}

#[test]
fn the_books_tables_are_the_commands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/src/museum.md")).unwrap();
    for table in [render::museum::table(), render::museum::sources()] {
        assert!(page.contains(&table.markdown()), "`loadtest museum --markdown` prints another table");
    }
}

/// Each new exhibit is a file that a reader takes in at a glance.
#[test]
fn an_exhibit_has_at_most_120_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for exhibit in EXHIBITS {
        let lines = fs::read_to_string(root.join(exhibit.code)).unwrap().lines().count();
        assert!(lines <= 120, "{} has {lines} lines", exhibit.code);
    }
}
