//! What a run shows on a terminal, and that it shows none of that elsewhere.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use crate::support::loadtest;
use nix::pty::{Winsize, openpty};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const ENTERS: &str = "\x1b[?1049h";
pub(crate) const LEAVES: &str = "\x1b[?1049l";
const SMALL: &str = "v3 --database sqlite --buyers 200 --connections 20 --stock 10";
const LONG: &str = "v3 --database sqlite --rate 100/s --duration 600s";

pub(crate) type Shown = Arc<Mutex<Vec<u8>>>;

/// A load test on a terminal of its own.
struct OnTerminal {
    keyboard: File,
    /// All that it has written so far.
    shown: Shown,
    reading: JoinHandle<()>,
    child: Child,
    folder: TempDir,
}

impl OnTerminal {
    fn start(args: &str, columns: u16, rows: u16) -> OnTerminal {
        let args = format!("run --json run.json --html run.html {args}");
        OnTerminal::of(&args, columns, rows, tempfile::tempdir().unwrap())
    }

    /// Any command, in this folder.
    fn of(args: &str, columns: u16, rows: u16, folder: TempDir) -> OnTerminal {
        let mut command = Command::new(loadtest());
        let (child, master) = on_terminal(command.args(args.split(' ')).current_dir(folder.path()), columns, rows);
        let shown = Shown::default();
        let reading = read(master.try_clone().unwrap(), shown.clone());
        OnTerminal { keyboard: master.into(), shown, reading, child, folder }
    }

    /// Types a key as soon as the screen shows a buyer.
    fn types(&mut self, key: &[u8]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !text(&self.shown).contains("bought") {
            assert!(Instant::now() < deadline, "{:?}", text(&self.shown));
            sleep(Duration::from_millis(10));
        }
        self.keyboard.write_all(key).unwrap();
    }

    /// Waits for its end; returns the exit code, all that it wrote, and its file.
    fn end(mut self) -> (Option<i32>, String, Option<Value>) {
        let code = self.child.wait().unwrap().code();
        let json = fs::read(self.folder.path().join("run.json")).ok();
        self.reading.join().unwrap();
        (code, text(&self.shown), json.map(|json| serde_json::from_slice(&json).unwrap()))
    }
}

/// Starts a command on a terminal of its own, and returns the other end of that.
pub(crate) fn on_terminal(command: &mut Command, columns: u16, rows: u16) -> (Child, OwnedFd) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let terminal = openpty(&size, None).unwrap();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let command = command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
    // A copy is closed in the child. A child that has both ends open never loses its terminal.
    let master = terminal.master.try_clone().unwrap();
    drop(terminal.master);
    let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()); // otherwise the reader never sees the end
    (child, master)
}

/// Reads until nobody has the terminal open, which is an error on Linux.
pub(crate) fn read(master: OwnedFd, shown: Shown) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut some, mut file) = ([0; 4096], File::from(master));
        while let Ok(n @ 1..) = file.read(&mut some) {
            shown.lock().unwrap().extend(&some[..n]);
        }
    })
}

pub(crate) fn text(shown: &Shown) -> String {
    String::from_utf8_lossy(&shown.lock().unwrap()).into_owned()
}

#[test]
fn a_pipe_and_plain_have_no_escape_codes() {
    let folder = tempfile::tempdir().unwrap();
    for plain in [&[][..], &["--plain"]] {
        let mut command = Command::new(loadtest());
        let output = command.arg("run").args(SMALL.split(' ')).args(plain).current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("v3-optimistic: 200 buyers …") && text.contains("report: "), "{text}");
        assert!(!text.contains('\x1b') && !text.contains('\r'), "{text:?}");
    }
    let (code, text, _) = OnTerminal::start(&format!("{SMALL} --plain"), 80, 24).end();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("v3-optimistic: 200 buyers …") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_terminal_has_a_screen_during_each_run_and_the_rows_after_it() {
    let (code, text, _) = OnTerminal::start(&format!("{SMALL} --rounds 2"), 80, 24).end();
    assert_eq!(code, Some(0), "{text}");
    assert_eq!([ENTERS, LEAVES].map(|code| text.matches(code).count()), [2, 2], "{text:?}");
    let mut shown = text.split(ENTERS);
    assert!(shown.next().unwrap().contains("200 buyers, 10 units"), "what is said first stays in the scrollback");
    for round in shown {
        let (screen, after) = round.split_once(LEAVES).unwrap();
        assert!(screen.contains("outcomes") && screen.contains("q ends the run"), "{screen:?}");
        assert!(after.contains("as promised") && !after.contains("outcomes"), "{after:?}");
        assert_fits(after, 80);
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// Asserts that no printed line is wider than the terminal. A path has no place to break.
#[track_caller]
fn assert_fits(text: &str, columns: usize) {
    let plain = plain(text);
    let too_wide = plain.lines().map(str::trim_end).find(|line| line.chars().count() > columns && !line.contains('/'));
    assert_eq!(too_wide, None, "{plain}");
}

#[test]
fn tables_and_sentences_fit_a_terminal_of_80_columns() {
    let capacity = "capacity v4 --database sqlite --from 20/s --duration 1s --errors 20 --p99 60s --reached 10";
    for (args, head) in [
        (format!("run {SMALL} --plain --rounds 2"), "median (min to max)"),
        ("compare run.json run.json".into(), "90 % interval"),
        (format!("{capacity} -- --global-rate=40 --global-burst=10"), "what gives way"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        if args.starts_with("compare") {
            let run = format!("run {SMALL} --rounds 2 --json run.json");
            let run = Command::new(loadtest()).args(run.split(' ')).current_dir(folder.path()).output().unwrap();
            assert!(run.status.success(), "{run:?}");
        }
        let (code, text, _) = OnTerminal::of(&args, 80, 24, folder).end();
        assert!(code == Some(0) && text.contains(head), "{text}");
        assert_fits(&text, 80);
    }
}

/// The system then sends SIGHUP, and refuses whatever is written.
#[test]
fn a_terminal_that_is_closed_ends_the_run_and_keeps_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("setsid"); // its controlling terminal
    command.args(["--ctty", "env", "--default-signal=HUP"]).arg(loadtest());
    command.args(["run", "--json", "run.json", "--html", "run.html"]).args(LONG.split(' '));
    let (mut child, master) = on_terminal(command.current_dir(folder.path()), 80, 24);
    let (mut some, mut shown, mut master) = ([0; 4096], Vec::new(), File::from(master));
    while !String::from_utf8_lossy(&shown).contains("bought") {
        let n = master.read(&mut some).unwrap();
        shown.extend(&some[..n]);
    }
    drop(master);
    assert_eq!(child.wait().unwrap().code(), Some(129));
    let json: Value = serde_json::from_slice(&fs::read(folder.path().join("run.json")).unwrap()).unwrap();
    assert!(json["runs"][0]["verdict"].to_string().contains("ended by the user"), "{json}");
    assert!(folder.path().join("run.html").exists());
}

#[test]
fn an_error_gives_the_terminal_back_before_it_is_printed() {
    let (code, text, _) = OnTerminal::start(&format!("{SMALL} -- --retries x"), 80, 24).end();
    assert_eq!(code, Some(4), "{text:?}");
    let (_, after) = text.rsplit_once(LEAVES).expect("the screen was left");
    assert!(after.contains("error: ") && after.contains("RETRIES"), "{after:?}");
}

#[test]
fn a_small_terminal_has_lines() {
    let (code, text, _) = OnTerminal::start(SMALL, 39, 24).end();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains(ENTERS) && text.contains("v3-optimistic: 200 buyers …"), "{text:?}");
}

#[test]
fn q_and_ctrl_c_end_the_run_and_give_the_terminal_back() {
    for (key, code) in [(b"q", 3), (b"\x03", 130)] {
        let mut run = OnTerminal::start(LONG, 40, 20);
        run.types(key);
        let (ended, text, json) = run.end();
        assert_eq!(ended, Some(code), "{text:?}");
        let after = text.rsplit(LEAVES).next().unwrap();
        assert_fits(after, 40);
        let words: Vec<_> = plain(after).split_whitespace().map(str::to_owned).collect();
        let words = words.join(" ");
        assert!(words.contains("ended by the user after") && words.contains("report: "), "{after:?}");
        let verdict = json.expect("a file")["runs"][0]["verdict"].to_string();
        assert!(verdict.contains("invalid: ended by the user after"), "{verdict}");
    }
}
