//! Decks that cannot be read or written, and a clock that was set back.

use std::{
    fs,
    os::fd::AsRawFd,
    process::{Command, Stdio},
};

use serde_json::json;

use super::{Home, interrupted::Typing, is_empty, marks, seconds, text};
use crate::support::{assert_refused, loadtest, own_mounts};

const DAY: u64 = 86_400;

#[test]
fn a_deck_that_is_broken_or_newer_is_named_in_one_line_and_left_as_it_is() {
    for (deck, says) in [
        ("", "is no deck"),
        ("{\"schema\": 1, \"cards\": {", "is no deck"),
        ("[]", "is no deck"),
        ("{\"cards\": {}}", "is no deck"),
        ("{\"schema\": 1, \"cards\": {\"3\": {\"level\": -1}}}", "is no deck"),
        ("{\"schema\": 2, \"cards\": {}, \"more\": []}", "is of schema 2, and this program reads 1"),
    ] {
        let home = Home::new().with(deck);
        for args in ["", "--card 3", "--list", "--mock"] {
            let output = home.rehearse(args, &marks("ynn"));
            assert_refused(&output, says);
            assert_refused(&output, "deck.json");
            assert!(output.stdout.is_empty(), "{output:?}");
            assert_eq!(fs::read_to_string(home.deck()).unwrap(), deck, "it is left as it is");
        }
    }
    let folder = Home::new();
    fs::create_dir_all(folder.deck()).unwrap();
    assert_refused(&folder.rehearse("--list", ""), "cannot read");
}

/// Another program, of a newer version, has written the deck while this one was open.
#[test]
fn a_deck_that_becomes_newer_meanwhile_is_not_overwritten() {
    let home = Home::new();
    let newer = "{\"schema\": 2, \"cards\": {}}";
    let mut typing = Typing::start(&home, "--card 8");
    typing.at("Enter: I have said all", "\n");
    typing.at("Your prediction", "\n");
    typing.at("Enter: reveal", "\n");
    fs::write(home.deck(), newer).unwrap();
    typing.at("y: had it", "n\n");
    let output = typing.child.wait_with_output().unwrap();
    assert_refused(&output, "is of schema 2");
    assert_eq!(fs::read_to_string(home.deck()).unwrap(), newer);
}

#[test]
fn without_a_folder_for_data_the_option_is_named() {
    let home = Home::new();
    let without = |args: &str, variables: &[(&str, &str)]| {
        let mut command = home.command(args);
        command.arg("--plain").env_remove("XDG_DATA_HOME").env_remove("HOME").envs(variables.iter().copied());
        super::says(&mut command, &format!("\n\n{}", marks("n")))
    };
    assert_refused(&without("--card 8", &[]), "set HOME or XDG_DATA_HOME, or name a file with --deck");
    assert_refused(&without("--card 8", &[("HOME", ""), ("XDG_DATA_HOME", "data")]), "--deck");
    assert_refused(&without("--card 8", &[("XDG_DATA_HOME", "/dev/null")]), "/dev/null/oversold");
    assert!(is_empty(home.0.path()), "nothing was written");

    assert_eq!(without("--card 8 --deck here.json", &[]).status.code(), Some(0));
    let deck = fs::read_to_string(home.0.path().join("here.json")).unwrap();
    assert!(deck.contains("The first two minutes"), "{deck}");
    let at_home = home.0.path().to_str().unwrap();
    assert_eq!(without("--card 8", &[("HOME", at_home)]).status.code(), Some(0));
    assert!(home.0.path().join(".local/share/oversold/deck.json").is_file());
}

#[test]
fn a_clock_that_was_set_back_is_said_and_the_intervals_stay() {
    let ahead = seconds() + 400 * DAY;
    let deck = json!({ "schema": 1, "cards": { "3": { "level": 2, "rehearsed": ahead, "due": ahead + 3 * DAY } } });
    let home = Home::new().with(&deck.to_string());
    let output = home.rehearse("--list", "");
    let shown = text(&output.stdout);
    assert_eq!(text(&output.stderr).lines().count(), 1, "{output:?}");
    assert!(text(&output.stderr).starts_with("The clock was set back"), "{output:?}");
    assert!(shown.lines().any(|line| line.starts_with("3 ") && line.contains("in 3 days")), "{shown}");
    assert_eq!(fs::read_to_string(home.deck()).unwrap(), deck.to_string(), "a list writes nothing");

    let output = home.rehearse("--card 8", &format!("\n\n{}", marks("n")));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let cards = home.cards();
    assert!(cards["3"]["rehearsed"].as_u64().unwrap() <= seconds(), "{cards}");
    assert_eq!((&cards["3"]["level"], &cards["8"]["level"]), (&json!(2), &json!(0)));
    assert_eq!(text(&home.rehearse("--list", "").stderr), "", "once");
}

/// A deck on a small disk of its own, in a mount namespace of the program.
struct SmallDisk(Home);

/// A deck with one card.
const ONE: &str = "{\"schema\": 1, \"cards\": {\"2\": {\"level\": 3, \"rehearsed\": 5, \"due\": 6}}}";

impl SmallDisk {
    /// The program, started after `before` has run in the folder of the disk.
    fn rehearse(&self, before: &str) -> Command {
        let mut command = own_mounts();
        let script = format!(
            "mount -t tmpfs -o size=64k none . && cd \"$PWD\" && printf '%s' '{ONE}' > deck.json && {before} && \
             exec \"$0\" rehearse --card 8 --plain --deck deck.json"
        );
        command.args(["sh", "-c", &script]).arg(loadtest());
        command.current_dir(self.0.0.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

#[test]
#[ignore = "mounts a disk in a namespace: make test"]
fn a_full_disk_is_said_before_the_prompt() {
    let disk = SmallDisk(Home::new());
    let output = super::says(&mut disk.rehearse("! head -c 1M /dev/zero > fill 2> /dev/null"), "\n");
    assert_refused(&output, "cannot keep a deck in .: No space left on device");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
#[ignore = "mounts a disk in a namespace: make test"]
fn a_disk_that_fills_up_meanwhile_leaves_the_deck_as_it_was() {
    let disk = SmallDisk(Home::new());
    let mut typing = Typing::of(&mut disk.rehearse("true"));
    typing.at("Enter: I have said all", "\n");
    typing.at("Your prediction", "\n");
    typing.at("Enter: reveal", "\n");
    let folder = fs::File::open(format!("/proc/{}/cwd", typing.child.id())).unwrap(); // keeps the disk after the program's end
    let inside = format!("/proc/self/fd/{}", folder.as_raw_fd());
    fs::write(format!("{inside}/fill"), [0; 1 << 20]).expect_err("the disk is full");
    typing.at("y: had it", "n\n");
    let output = typing.child.wait_with_output().unwrap();
    assert_refused(&output, "what you have just marked is not kept: cannot write");
    assert_refused(&output, "No space left on device");
    assert_eq!(fs::read_to_string(format!("{inside}/deck.json")).unwrap(), ONE);
    assert_eq!(fs::read_dir(inside).unwrap().count(), 2, "no half-written file: the deck, and what fills the disk");
}
