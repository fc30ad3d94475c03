//! A rehearsal on a terminal: a screen, which is given back in every case.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command},
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};

use super::Home;
use crate::{
    live::{ENTERS, LEAVES, Shown, on_terminal, read, text},
    support::loadtest,
};

struct OnTerminal {
    keyboard: File,
    shown: Shown,
    reading: JoinHandle<()>,
    child: Child,
}

impl OnTerminal {
    fn start(home: &Home, args: &str, columns: u16, rows: u16) -> OnTerminal {
        let (child, master) = on_terminal(&mut home.command(args), columns, rows);
        let shown = Shown::default();
        let reading = read(master.try_clone().unwrap(), shown.clone());
        OnTerminal { keyboard: master.into(), shown, reading, child }
    }

    /// Types as soon as a text is shown. Only the first picture has texts in one piece: later ones write what has changed.
    fn types_at(&mut self, shown: &str, keys: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !text(&self.shown).contains(shown) {
            assert!(Instant::now() < deadline, "{:?}", text(&self.shown));
            sleep(Duration::from_millis(10));
        }
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Makes the terminal this wide, as the window around it does.
    fn resize(&self, columns: u16) {
        let mut stty = Command::new("stty");
        let terminal = self.keyboard.try_clone().unwrap();
        assert!(stty.args(["cols", &columns.to_string()]).stdin(terminal).status().unwrap().success());
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGWINCH).unwrap();
    }

    /// Says that the size is new, and types at the same time.
    fn resizes(&mut self, keys: &[u8]) {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGWINCH).unwrap();
        self.keyboard.write_all(keys).unwrap();
    }

    /// Waits until this holds.
    fn within(&mut self, what: &str, holds: impl Fn(&mut OnTerminal) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            assert!(Instant::now() < deadline, "never {what}: {:?}", text(&self.shown));
            sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end. Returns the exit code, all that it wrote, and whether the terminal is as it was.
    fn end(mut self) -> (Option<i32>, String, bool) {
        let code = self.child.wait().unwrap().code();
        self.reading.join().unwrap();
        let flags = tcgetattr(&self.keyboard).unwrap().local_flags;
        (code, text(&self.shown), flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG))
    }
}

/// The keys up to each prompt of card 17: its talk, its prediction, the run, a cue, an answer, the next cue.
const UP_TO: [&str; 6] = ["", "\r12", "\r12\r", "\r\r", "\r\r\r", "\r\r\rn"];

#[test]
fn ctrl_c_at_each_prompt_gives_the_terminal_back_and_keeps_the_deck() {
    for (n, keys) in UP_TO.into_iter().enumerate() {
        let home = Home::new();
        let mut terminal = OnTerminal::start(&home, "--card 17", 80, 24);
        terminal.types_at("Enter: I have said all", &format!("{keys}\x03"));
        let (code, shown, is_as_it_was) = terminal.end();
        assert_eq!(code, Some(130), "{keys:?}: {shown:?}");
        assert!(is_as_it_was && shown.matches(ENTERS).count() == 1, "{keys:?}: {shown:?}");
        let (_, after) = shown.rsplit_once(LEAVES).expect("the screen was left");
        assert!(after.contains("ended; what you have done is kept in"), "{after:?}");
        assert_eq!(home.deck().exists(), n == 5, "{keys:?}: a mark is kept");
    }
}

#[test]
fn a_card_on_a_screen_is_remembered_and_said_after_it() {
    for (columns, rows) in [(80, 24), (40, 20)] {
        let home = Home::new();
        let mut terminal = OnTerminal::start(&home, "--card 8", columns, rows);
        terminal.types_at("Enter: I have said all", &format!("\r\r{}\r", "\ry".repeat(7)));
        let (code, shown, is_as_it_was) = terminal.end();
        assert!(code == Some(0) && is_as_it_was, "{shown:?}");
        let (screen, after) = shown.rsplit_once(LEAVES).unwrap();
        assert!(screen.contains("8: when to deduct") && screen.contains("5:00"), "{screen:?}");
        let words: Vec<_> = after.split_whitespace().collect();
        assert!(words.join(" ").contains("One card is done, and nothing was missed."), "{after:?}");
        assert_eq!(home.cards()["8"]["level"], 1);
    }
}

#[test]
fn q_and_escape_end_it() {
    for key in ["q", "\x1b"] {
        let home = Home::new();
        let mut terminal = OnTerminal::start(&home, "", 80, 24);
        terminal.types_at("Enter: I have said all", key);
        let (code, shown, is_as_it_was) = terminal.end();
        assert!(code == Some(0) && is_as_it_was, "{shown:?}");
        assert!(shown.contains("No card is done. 18 cards are due."), "{shown:?}");
    }
}

/// A screen of that size would show nothing but its keys.
#[test]
fn a_terminal_of_39_columns_has_plain_lines_that_fit() {
    let home = Home::new();
    let mut terminal = OnTerminal::start(&home, "--card 8", 39, 24);
    terminal.types_at("Enter: I have said all", "\nq\n");
    let (code, shown, _) = terminal.end();
    assert!(code == Some(0) && !shown.contains(ENTERS), "{shown:?}");
    let plain = anstream::adapter::strip_str(&shown).to_string();
    let too_wide = plain.lines().map(str::trim_end).find(|line| line.chars().count() > 39);
    assert_eq!(too_wide, None, "{plain}");
}

#[test]
fn a_terminal_that_is_resized_is_drawn_again_and_can_be_left() {
    let home = Home::new();
    let mut terminal = OnTerminal::start(&home, "--card 8", 80, 24);
    terminal.types_at("Enter: I have said all", "\r\r");
    terminal.types_at("reveal", "");
    let deadline = Instant::now() + Duration::from_secs(60);
    for columns in [40, 100, 41] {
        let drawn = text(&terminal.shown).matches("Compare: The first").count();
        terminal.resize(columns);
        while text(&terminal.shown).matches("Compare: The first").count() == drawn {
            assert!(Instant::now() < deadline, "not drawn again: {:?}", text(&terminal.shown));
            sleep(Duration::from_millis(10));
        }
    }
    terminal.keyboard.write_all(b"\x03").unwrap();
    let (code, shown, is_as_it_was) = terminal.end();
    assert!(code == Some(130) && is_as_it_was, "{shown:?}");
}

/// crossterm forgets a key that it finds together with a new size. Each key here comes right after one, and no other key follows
/// before it was obeyed.
#[test]
fn a_key_in_the_moment_of_a_new_size_is_obeyed() {
    for _ in 0..4 {
        let home = Home::new();
        let mut terminal = OnTerminal::start(&home, "--card 8", 80, 24);
        terminal.types_at("Enter: I have said all", "\r\r");
        for mark in 1..7 {
            let before = text(&terminal.shown).len();
            terminal.keyboard.write_all(b"\r").unwrap();
            terminal.within("revealed", |terminal| text(&terminal.shown).len() > before);
            terminal.resizes(b"y");
            terminal.within("marked", |_| {
                home.deck().exists() && home.cards()["8"]["had"].as_array().is_some_and(|had| had.len() == mark)
            });
        }
        terminal.resizes(b"\x03");
        terminal.within("ended", |terminal| terminal.child.try_wait().unwrap().is_some());
        let (code, shown, is_as_it_was) = terminal.end();
        assert!(code == Some(130) && is_as_it_was, "{shown:?}");
    }
}

/// The system then sends SIGHUP, and refuses whatever is written.
#[test]
fn a_terminal_that_is_closed_keeps_what_was_marked() {
    let home = Home::new();
    let mut command = Command::new("setsid"); // its controlling terminal
    command.args(["--ctty", "env", "--default-signal=HUP"]).arg(loadtest()).args(["rehearse", "--card", "8"]);
    command.args(["--deck"]).arg(home.deck()).current_dir(home.0.path());
    let (mut child, master) = on_terminal(&mut command, 80, 24);
    let (mut some, mut shown, mut master) = ([0; 4096], Vec::new(), File::from(master));
    let mut is_typed = false;
    while !home.deck().exists() || home.cards()["8"]["missed"] != serde_json::json!(["The drawing"]) {
        let n = master.read(&mut some).unwrap();
        shown.extend(&some[..n]);
        if !is_typed && String::from_utf8_lossy(&shown).contains("Enter: I have said all") {
            master.write_all(b"\r\r\ry\rn").unwrap();
            is_typed = true;
        }
    }
    drop(master);
    child.wait().unwrap();
    assert_eq!(home.cards()["8"]["had"], serde_json::json!(["The first two minutes"]));
    let left = std::fs::read_dir(home.deck().parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "and no half-written file");
}
