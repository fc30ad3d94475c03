//! `loadtest figures`: the pages quote the records, and a number or a record that is changed by hand is noticed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::loadtest;
use serde_json::{Value, json};
use tempfile::TempDir;

const README: &str = "README.md";
const CHAPTER: &str = "docs/src/chapters/v2-pessimistic.md";

/// A copy of README, book and records. Its records are complete and clean, also those that are to be measured again.
struct Copy {
    folder: TempDir,
}

impl Copy {
    fn new() -> Copy {
        let copy = Copy { folder: tempfile::tempdir().unwrap() };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut git = Command::new("git");
        git.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(&root);
        let listed = String::from_utf8(git.output().unwrap().stdout).unwrap();
        let is_read = |name: &&str| name.ends_with(".md") || name.starts_with("docs/results/");
        for name in listed.lines().filter(is_read).filter(|name| !name.ends_with(".txt")) {
            let to = copy.path(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root.join(name), to).unwrap();
        }
        let names: Vec<_> =
            fs::read_dir(copy.path("docs/results")).unwrap().map(|entry| entry.unwrap().path()).collect();
        for file in names.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
            copy.edit_record(file.file_stem().unwrap().to_str().unwrap(), |record| {
                record["commit"] = json!("0123456789abcdef");
                let fields = ["runs", "faults", "mutants", "explored", "replayed", "capacities"];
                let kind = fields.into_iter().find(|field| record.get(field).is_some()).unwrap_or("watchers");
                for (field, value) in [("kind", json!(kind)), ("seed", json!(1))] {
                    record.as_object_mut().unwrap().entry(field).or_insert(value);
                }
            });
        }
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn edit_record(&self, name: &str, edit: impl Fn(&mut Value)) {
        let file = self.path(&format!("docs/results/{name}.json"));
        let mut record = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        edit(&mut record);
        fs::write(file, serde_json::to_string(&record).unwrap()).unwrap();
    }

    /// Replaces a text of a page, checks what is found, and puts the page back.
    fn with(&self, page: &str, text: &str, by: &str, expected: &[&str]) {
        let file = self.path(page);
        let before = fs::read_to_string(&file).unwrap();
        assert!(before.contains(text), "{page}: {text}");
        fs::write(&file, before.replacen(text, by, 1)).unwrap();
        let (code, said) = self.figures(&[]);
        fs::write(&file, before).unwrap();
        assert_eq!(code, 1, "{text} -> {by}: {said}");
        expected.iter().for_each(|expected| assert!(said.contains(expected), "{text} -> {by}: {expected} in {said}"));
    }

    /// The line of a page that starts like this.
    fn line(&self, page: &str, start: &str) -> String {
        let text = fs::read_to_string(self.path(page)).unwrap();
        text.lines().find(|line| line.starts_with(start)).unwrap().to_owned()
    }

    fn figures(&self, args: &[&str]) -> (i32, String) {
        let output =
            Command::new(loadtest()).arg("figures").arg("--root").arg(self.folder.path()).args(args).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// What is wrong, without the records that no line of `docs/results/measure` makes.
    fn wrong(&self) -> Vec<String> {
        self.figures(&[]).1.lines().filter(|line| !line.contains("no line of")).map(str::to_owned).collect()
    }
}

#[test]
fn the_pages_quote_the_records() {
    assert_eq!(Copy::new().wrong(), [""; 0]);
}

#[test]
fn a_number_changed_by_hand_is_noticed() {
    let copy = Copy::new();
    let record = fs::read_to_string(copy.path("docs/results/v2-x1.json")).unwrap();
    assert!(record.contains("requests_per_second"));
    // A cell of the table, also a small one; and the Chinese page.
    let process_lock = "| v2-pessimistic process-lock";
    for page in [README, "README.zh-CN.md"] {
        let row = copy.line(page, process_lock);
        let expected = format!("{page}: the page should have the row: {process_lock}");
        copy.with(page, &row, &row.replacen(" |", "1 |", 3), &[&expected]);
    }
    // A number in a sentence.
    let before = "it sold ";
    let page = fs::read_to_string(copy.path(CHAPTER)).unwrap();
    let sold: String = page.split_once(before).unwrap().1.chars().take_while(char::is_ascii_digit).collect();
    let sentence = format!("{before}{sold} of 100");
    let wrong = format!("1{sold} should be {sold}");
    copy.with(CHAPTER, &sentence, &format!("{before}1{sold} of 100"), &["v2-pessimistic.md:", &wrong]);
    // A number that has no source: of each form.
    for number in [
        "12,345",
        "12 ms",
        "1.5 ms",
        "7,654 orders",
        "31 requests",
        "4k/s",
        "55 k/s",
        "9/s",
        "2.5 times",
        "× 4.4",
        "9 µs",
    ] {
        let text = format!("10,000 buyers measured {number} at once for");
        copy.with(README, "10,000 buyers at once for", &text, &["README.md:", "has no source in docs/results/quoted"]);
    }
    // A sentence that was rewritten has lost its source.
    let other = format!("{sold} of 100 were sold");
    copy.with(CHAPTER, &sentence, &other, &["the page does not have the sentence"]);
}

#[test]
fn a_dirty_or_incomplete_record_is_refused() {
    let copy = Copy::new();
    let demo = copy.path("docs/results/demo.json");
    let before = fs::read(&demo).unwrap();
    for (edit, expected) in [
        (
            ("commit", json!("0123-dirty")),
            "demo.json: was measured with uncommitted changes: run `docs/results/measure demo`",
        ),
        (("commit", Value::Null), "demo.json: names no commit: run"),
    ] {
        copy.edit_record("demo", |record| record[edit.0] = edit.1.clone());
        assert!(copy.wrong().iter().any(|wrong| wrong.contains(expected)), "{:?}", copy.wrong());
    }
    for field in ["kind", "machine", "command", "seed"] {
        fs::write(&demo, &before).unwrap();
        copy.edit_record("demo", |record| drop(record.as_object_mut().unwrap().remove(field)));
        assert!(
            copy.wrong().iter().any(|wrong| wrong.contains(&format!("demo.json: has no {field}"))),
            "{:?}",
            copy.wrong()
        );
    }
    fs::write(&demo, &before).unwrap();
    copy.edit_record("demo", |record| record["runs"][0]["verdict"] = json!("invalid: ended by the user"));
    assert!(copy.wrong().iter().any(|wrong| wrong.contains("demo.json: has an invalid run")), "{:?}", copy.wrong());
    fs::write(&demo, &before).unwrap();
    fs::copy(&demo, copy.path("docs/results/by-hand.json")).unwrap();
    fs::write(copy.path("docs/results/by-hand.txt"), "12,345").unwrap();
    let (code, said) = copy.figures(&[]);
    assert_eq!(code, 1);
    assert!(said.contains("by-hand.json: no line of docs/results/measure makes it"), "{said}");
    assert!(said.contains("by-hand.txt: is text and no record"), "{said}");
}

#[test]
fn each_exception_has_a_reason_and_a_use() {
    let copy = Copy::new();
    let quoted = copy.path("docs/results/quoted");
    let before = fs::read_to_string(&quoted).unwrap();
    let with = |line: &str| {
        fs::write(&quoted, format!("{before}\n{line}\n")).unwrap();
        copy.figures(&[])
    };
    let (code, said) = with("[README.md]\ngiven 4,321 orders # told");
    assert!(code == 1 && said.contains("has no \"4,321 orders\""), "{said}");
    let (code, said) = with("[README.md]\ngiven 10,000 buyers");
    assert!(code == 4 && said.contains("given PHRASE # REASON"), "{said}");
    let (code, said) = with("[docs/src/nowhere.md]\ngiven 1 # told");
    assert!(code == 1 && said.contains("docs/src/nowhere.md is no page"), "{said}");
    let (code, said) = with("[README.md]\nsay {demo:nothing} buyers at once");
    assert!(code == 1 && said.contains("it has no nothing"), "{said}");
}

#[test]
fn new_records_are_written_into_sentences_and_tables() {
    let copy = Copy::new();
    copy.edit_record("v2-short-lock-timeout", |record| {
        for (n, run) in record["runs"].as_array_mut().unwrap().iter_mut().enumerate() {
            run["outcomes"]["conflict"] = json!(1000 + n);
        }
    });
    copy.edit_record("explore", |record| record["explored"][0]["oversell"] = json!(16));
    assert_eq!(copy.wrong().len(), 3, "{:?}", copy.wrong());
    assert_eq!(copy.figures(&["--renew"]), (0, String::new()));
    assert_eq!(copy.wrong(), [""; 0]);
    let page = fs::read_to_string(copy.path(CHAPTER)).unwrap().replace('\n', " ");
    assert!(page.contains("1,002 of 10,000 buyers were refused like this (median of 5 runs; 1,000 to 1,004)"));
    assert!(copy.line("docs/src/explore.md", "| v1-naive |").contains("| **16** |"));
}
