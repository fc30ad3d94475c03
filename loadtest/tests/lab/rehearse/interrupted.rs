//! Ctrl-C and kill -9 at each prompt.

use std::{
    fs,
    io::{BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Home;

/// Somebody who types when they have read.
pub(super) struct Typing {
    pub(super) child: Child,
    keyboard: ChildStdin,
    shown: BufReader<ChildStdout>,
}

impl Typing {
    pub(super) fn start(home: &Home, args: &str) -> Typing {
        Typing::of(home.command(args).arg("--plain").env("TMPDIR", home.0.path()))
    }

    pub(super) fn of(command: &mut Command) -> Typing {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (keyboard, shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Typing { child, keyboard, shown: BufReader::new(shown) }
    }

    /// Waits for a text, then types.
    pub(super) fn at(&mut self, text: &str, types: &str) {
        read_until(&mut self.shown, text);
        self.keyboard.write_all(types.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }
}

/// Reads until a text was shown.
fn read_until(shown: &mut impl Read, text: &str) {
    let (mut all, mut byte) = (Vec::new(), [0]);
    while !all.ends_with(text.as_bytes()) {
        let n = shown.read(&mut byte).unwrap();
        assert_eq!(n, 1, "it ended before {text}: {}", String::from_utf8_lossy(&all));
        all.push(byte[0]);
    }
}

/// Each prompt of card 17, as the text that shows it and what is typed there.
const PROMPTS: [(&str, &str); 8] = [
    ("Enter: I have said all", "\n"),
    ("Your prediction", "many\n"),
    ("This is not a number, such as 120.", "10\n"),
    ("The run is played", ""),
    ("Enter: go on", "\n"),
    ("Enter: reveal", "\n"),
    ("y: had it", "n\n"),
    ("Enter: reveal", "\n"),
];

#[test]
fn ctrl_c_at_each_prompt_ends_with_130_and_keeps_the_deck() {
    for last in 0..PROMPTS.len() {
        let home =
            Home::new().with("{\"schema\": 1, \"cards\": {\"2\": {\"level\": 3, \"rehearsed\": 5, \"due\": 6}}}");
        let mut typing = Typing::start(&home, "--card 17");
        for (text, types) in &PROMPTS[..last] {
            typing.at(text, types);
        }
        read_until(&mut typing.shown, PROMPTS[last].0);
        typing.signal(Signal::SIGINT);
        let output = typing.child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "at {:?}: {errors}", PROMPTS[last]);
        assert_eq!(errors, format!("ended; what you have done is kept in {}\n", home.deck().display()));
        let cards = home.cards();
        assert_eq!(cards["2"]["level"], 3, "{cards}");
        let is_missed = last == 7;
        assert_eq!(cards["17"]["missed"].is_array(), is_missed, "a miss is kept before the next prompt: {cards}");
        let left: Vec<_> = fs::read_dir(home.0.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["data"], "no run is left");
    }
}

#[test]
fn kill_9_loses_no_mark() {
    let home = Home::new();
    let mut typing = Typing::start(&home, "--card 8");
    typing.at("Enter: I have said all", "\n");
    typing.at("Your prediction", "\n");
    for mark in ["y\n", "y\n", "n\n"] {
        typing.at("Enter: reveal", "\n");
        typing.at("y: had it", mark);
    }
    read_until(&mut typing.shown, "Enter: reveal");
    typing.signal(Signal::SIGKILL);
    typing.child.wait().unwrap();
    assert_eq!(home.cards()["8"]["missed"], serde_json::json!(["Three numbers"]));
    assert_eq!(home.cards()["8"]["had"], serde_json::json!(["The first two minutes", "The drawing"]));
    let left = fs::read_dir(home.deck().parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "and no half-written file");
}
