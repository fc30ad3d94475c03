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

const ENTERS: &str = "\x1b[?1049h";
const LEAVES: &str = "\x1b[?1049l";
const SMALL: &str = "v3 --database sqlite --buyers 200 --connections 20 --stock 10";
const LONG: &str = "v3 --database sqlite --rate 100/s --duration 600s";

type Shown = Arc<Mutex<Vec<u8>>>;

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
        let folder = tempfile::tempdir().unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(&size, None).unwrap();
        let end = || Stdio::from(terminal.slave.try_clone().unwrap());
        let mut command = Command::new(loadtest());
        command.args(["run", "--json", "run.json", "--html", "run.html"]).args(args.split(' '));
        command.current_dir(folder.path()).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop((command, terminal.slave)); // otherwise the reader never sees the end
        let shown = Shown::default();
        let reading = read(terminal.master.try_clone().unwrap(), shown.clone());
        OnTerminal { keyboard: terminal.master.into(), shown, reading, child, folder }
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

/// Reads until nobody has the terminal open, which is an error on Linux.
fn read(master: OwnedFd, shown: Shown) -> JoinHandle<()> {
    thread::spawn(move || {
        let (mut some, mut file) = ([0; 4096], File::from(master));
        while let Ok(n @ 1..) = file.read(&mut some) {
            shown.lock().unwrap().extend(&some[..n]);
        }
    })
}

fn text(shown: &Shown) -> String {
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
    }
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
        assert!(after.contains("ended by the user after") && after.contains("report: "), "{after:?}");
        let verdict = json.expect("a file")["runs"][0]["verdict"].to_string();
        assert!(verdict.contains("invalid: ended by the user after"), "{verdict}");
    }
}
