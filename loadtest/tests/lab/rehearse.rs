//! `loadtest rehearse` in plain lines, with a script as standard input, and on a terminal of its own.

mod deck;
mod interrupted;
mod predictions;
mod terminal;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Instant,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{assert_refused, loadtest};

/// A reader's home: a folder for data, which does not exist yet.
struct Home(TempDir);

impl Home {
    fn new() -> Home {
        Home(tempfile::tempdir().unwrap())
    }

    fn deck(&self) -> PathBuf {
        self.0.path().join("data/oversold/deck.json")
    }

    /// The cards of the deck.
    fn cards(&self) -> Value {
        serde_json::from_slice::<Value>(&fs::read(self.deck()).unwrap()).unwrap()["cards"].take()
    }

    /// Puts a deck there.
    fn with(self, deck: &str) -> Home {
        fs::create_dir_all(self.deck().parent().unwrap()).unwrap();
        fs::write(self.deck(), deck).unwrap();
        self
    }

    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(loadtest());
        command.arg("rehearse").args(args.split_whitespace()).current_dir(self.0.path());
        command.env("XDG_DATA_HOME", self.0.path().join("data")).env("HOME", self.0.path());
        command
    }

    /// Rehearses with these lines as the reader's.
    fn rehearse(&self, args: &str, lines: &str) -> Output {
        says(self.command(args).arg("--plain"), lines)
    }
}

fn says(command: &mut Command, lines: &str) -> Output {
    let (input, output) = (Stdio::piped(), Stdio::piped());
    let mut child = command.stdin(input).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes()); // it may have refused already
    child.wait_with_output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// The lines that reveal and mark one step after the other.
fn marks(marks: &str) -> String {
    marks.chars().map(|mark| format!("\n{mark}\n")).collect()
}

fn seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_card_is_rehearsed_in_plain_lines_and_is_due_again_in_a_day() {
    let home = Home::new();
    let output = home.rehearse("--card 8", &format!("\n\n{}\n", marks("yyyyyyy")));
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut rest = shown.as_str();
    for part in [
        "== 8: when to deduct == card 1 of 1",
        "Do you deduct stock when the order is placed, or when it is paid?",
        "You have 5 minutes.",
        "Enter: I have said all",
        "Predict. Half of the buyers pay",
        "Compare: The first two minutes",
        "There are three ways.",
        "Compare: The drawing",
        " confirmed ─▶ paid          update … where status = 'confirmed' and paid_with is null\n",
        "y: had it · n: missed it",
        "Follow-up: Payment and expiry come at the same moment. Who wins?",
        "Both are a compare-and-swap",
        "You had 7 of 7. This card comes again in a day.",
        "cargo loadtest serve v6 -- --pay-within 20",
        "One card is done, and nothing was missed. 17 cards are due.",
    ] {
        let (_, after) =
            rest.split_once(part).unwrap_or_else(|| panic!("{part} is missing, or in another order: {shown}"));
        rest = after;
    }
    assert_eq!(home.cards()["8"]["level"], 1);
    let list = text(&home.rehearse("--list", "").stdout);
    assert!(list.lines().any(|line| line.starts_with("8 ") && line.contains("in a day")), "{list}");
}

#[test]
fn what_was_missed_comes_again_in_the_same_session() {
    let home = Home::new();
    let output = home.rehearse("--card 8", &format!("\n\n{}\n{}\n", marks("ynyyyyy"), marks("y")));
    let shown = text(&output.stdout);
    let again = shown.split_once("== Again, 8: when to deduct == card 2 of 2").expect("again").1;
    assert!(again.contains("Compare: The drawing") && !again.contains("Compare: Three numbers"), "{again}");
    assert!(
        shown.contains("missed: The drawing") && shown.contains("One card is done, and something was missed."),
        "{shown}"
    );
    assert_eq!((&home.cards()["8"]["level"], &home.cards()["8"]["missed"]), (&json!(1), &json!([])));
}

#[test]
fn cards_that_are_due_come_and_others_do_not() {
    let (now, day) = (seconds(), 86_400);
    let card = |due: u64| json!({ "level": 1, "rehearsed": now - 9 * day, "due": due });
    let mut cards: serde_json::Map<_, _> = (0..=17).map(|n| (n.to_string(), card(now + 3 * day))).collect();
    let none = json!({ "schema": 1, "cards": cards }).to_string();
    cards.insert("6".into(), card(now - day));
    let one = json!({ "schema": 1, "cards": cards }).to_string();

    let output = Home::new().with(&none).rehearse("", "");
    let says = "No card is due. The next one is card 0, in 3 days. `--card N` rehearses any card.\n";
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), says));
    let shown = text(&Home::new().with(&one).rehearse("", "q\n").stdout);
    assert!(shown.contains("== 6: Redis and the queue == card 1 of 1"), "{shown}");
    let shown = text(&Home::new().rehearse("", "q\n").stdout);
    assert!(shown.contains("== 1: oversell == card 1 of 18"), "a new deck: {shown}");
}

#[test]
fn an_interview_ends_with_a_summary_on_one_page() {
    let home = Home::new();
    let lines = format!("\n{}\n", marks("yn") + &marks("yyyyyyyyn"));
    let began = Instant::now();
    let output = home.rehearse("--mock --summary interview.md", &lines);
    let at_most = began.elapsed().as_secs();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = text(&output.stdout);
    assert_eq!(shown.matches("The interviewer asks: ").count(), 2, "{shown}");
    assert!(shown.contains("You have 45 minutes.") && shown.contains("summary: interview.md"), "{shown}");
    let page = fs::read_to_string(home.0.path().join("interview.md")).unwrap();
    let talked =
        page.lines().find_map(|line| line.strip_prefix("Talked: 0:")?.strip_suffix(" of 45:00. Had: 9 of 11."));
    assert!(talked.is_some_and(|seconds| seconds.parse::<u64>().unwrap() <= at_most), "at most {at_most} s: {page}");
    assert!(page.lines().count() < 50, "{page}");
    assert!(page.contains("- [ ] The trap\n") && page.contains("--card 0`: the whole interview"), "{page}");
    assert_eq!(home.cards().as_object().unwrap().len(), 2, "card 0, and the one whose follow-up was missed");

    let shown = text(&Home::new().rehearse("--mock", &lines).stdout);
    assert!(shown.contains("# An interview on ") && shown.contains("## The outline"), "{shown}");
}

#[test]
fn a_summary_that_cannot_be_written_and_an_unknown_card_are_refused_before_the_prompt() {
    for (args, why) in [
        ("--mock --summary /no/such/folder/page.md", "/no/such/folder/page.md"),
        ("--card 18", "there is no card 18: the cards are 0 to 17"),
        ("--card 300", "--card"),
        ("--card 1 --mock", "--mock"),
        ("--summary page.md", "add --mock"),
    ] {
        let output = Home::new().rehearse(args, "\n\n");
        assert_refused(&output, why);
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn the_end_of_the_input_ends_the_rehearsal_and_shows_nothing_that_was_not_asked_for() {
    let home = Home::new();
    let output = home.rehearse("--card 8", "\n\n\ny\n");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "The input has ended, and so does the rehearsal.\n");
    let shown = text(&output.stdout);
    assert!(shown.contains("Compare: The drawing") && !shown.contains("stock − 1, pay_by"), "{shown}");
    assert!(shown.contains("No card is done. 18 cards are due."), "{shown}");
    assert_eq!(home.cards()["8"]["had"], json!(["The first two minutes"]));

    let shown = text(&home.rehearse("--card 8", &marks("yyyyyy")).stdout);
    assert!(shown.contains("== The rest of 8: when to deduct == card 1 of 1"), "{shown}");
    assert!(!shown.contains("Compare: The first two minutes") && shown.contains("You had 7 of 7."), "{shown}");
}

#[test]
fn a_line_that_means_nothing_is_asked_for_again() {
    let shown = text(&Home::new().rehearse("--card 8", "\n\n\nperhaps\nyes\nq\n").stdout);
    assert_eq!(shown.matches("y: had it · n: missed it").count(), 2, "{shown}");
    assert!(shown.contains("> Type y or n.\ny: had it"), "{shown}");
    assert!(shown.ends_with("No card is done. 18 cards are due.\n"), "{shown}");
    let shown = text(&Home::new().rehearse("--card 8", "\n\n\n\ny\nq\n").stdout);
    assert!(shown.contains("> Type y or n.\n") && shown.contains("Compare: The drawing"), "an empty line: {shown}");
    let shown = text(&Home::new().rehearse("--card 17", "\nmany\n25\n").stdout);
    assert!(shown.contains("This is not a number, such as 120.\nYour prediction"), "{shown}");
    assert!(shown.contains("You said 25."), "the next line is typed anew: {shown}");
}

/// A pipe has no escape codes, and is not wrapped to 80 columns.
#[test]
fn a_pipe_has_plain_lines_also_without_the_option() {
    let output = says(&mut Home::new().command("--card 4"), "\n\nq\n");
    let shown = text(&output.stdout);
    assert!(!shown.contains('\x1b') && !shown.contains('\r'), "{shown:?}");
    assert!(shown.contains("Your prediction, or nothing to skip it"), "{shown}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
