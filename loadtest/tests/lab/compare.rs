//! Rounds, and two files of them against each other.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::support::{assert_refused, loadtest};
use serde_json::Value;

fn said(folder: &Path, args: &str) -> Output {
    Command::new(loadtest()).args(args.split(' ')).current_dir(folder).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Three rounds of chapter 3 as `a.json`; and as `b.json` the same after a change.
fn two_files(folder: &Path, change: impl Fn(&mut Value)) -> Output {
    let args = "run v3 --database sqlite --buyers 300 --connections 100 --stock 20 --rounds 3 --json a.json";
    let output = said(folder, args);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut record = read(folder);
    change(&mut record);
    fs::write(folder.join("b.json"), record.to_string()).unwrap();
    output
}

fn read(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("a.json")).unwrap()).unwrap()
}

fn each_run(record: &mut Value, change: impl Fn(&mut Value)) {
    record["runs"].as_array_mut().unwrap().iter_mut().for_each(change);
}

#[test]
fn rounds_end_with_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let said = text(&two_files(folder.path(), |_| {}));
    let (_, summary) = said.split_once("median (min to max)").expect("a summary");
    let row: Vec<_> = summary.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[1]), ("v3-optimistic", "3"), "{said}");
    // Told yes and oversold are the same in every round.
    assert_eq!(row[row.len() - 2..], ["20", "0"], "{said}");
    let runs = read(folder.path())["runs"].as_array().unwrap().clone();
    assert_eq!(runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_file_is_inside_the_noise_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path(), |_| {});
    for args in ["compare a.json a.json", "compare a.json b.json", "compare a.json b.json --markdown"] {
        let output = said(folder.path(), args);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = text(&output);
        for figure in ["requests/s", "yes p99 ms", "no p99 ms", "told yes"] {
            let line = said.lines().find(|line| line.contains(figure)).unwrap_or_else(|| panic!("{said}"));
            assert!(line.contains("inside the noise") && line.contains("1.000"), "{line}");
        }
        assert!(said.contains("no ratio to 0"), "nothing is oversold: {said}");
        assert_eq!(args.contains("--markdown"), said.contains("| v3-optimistic |"), "{said}");
    }
}

#[test]
fn what_takes_a_thousand_times_as_long_is_named() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path(), |record| {
        each_run(record, |run| {
            let p99 = &mut run["latency_ms"]["bought"]["p99"];
            *p99 = (p99.as_f64().unwrap() * 1000.0).into();
        });
    });
    let said = text(&said(folder.path(), "compare a.json b.json"));
    let line = said.lines().find(|line| line.contains("yes p99 ms")).unwrap();
    assert!(line.contains("B is higher"), "{line}");
}

#[test]
fn one_round_has_no_interval() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path(), |record| record["runs"].as_array_mut().unwrap().truncate(1));
    let said = text(&said(folder.path(), "compare a.json b.json"));
    let line = said.lines().find(|line| line.contains("requests/s")).unwrap();
    assert!(line.contains("one round: no interval"), "{line}");
}

#[test]
fn invalid_rounds_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path(), |record| record["runs"][1]["verdict"] = "invalid: a test".into());
    let said = text(&said(folder.path(), "compare a.json b.json"));
    assert!(said.contains("v3-optimistic, B: 1 of 3 rounds are invalid and left out"), "{said}");
}

#[test]
fn other_conditions_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path(), |record| {
        record["machine"]["model"] = "another".into();
        each_run(record, |run| (run["buyers"], run["pool"]) = (4000.into(), 7.into()));
    });
    let refused = said(folder.path(), "compare a.json b.json");
    for what in ["buyers 300 and 4,000", "database connections 16 and 7", " and another", "--anyway"] {
        assert_refused(&refused, what);
    }
    assert!(refused.stdout.is_empty());
    let anyway = said(folder.path(), "compare a.json b.json --anyway");
    assert_eq!(anyway.status.code(), Some(0), "{anyway:?}");
    let said = text(&anyway);
    assert!(said.contains("other conditions: ") && said.contains("buyers 300 and 4,000"), "{said}");
}

#[test]
fn what_cannot_be_compared_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    two_files(folder.path(), |record| record["schema"] = 99.into());
    let compare = |other: &str| said(folder.path(), &format!("compare a.json {other}"));
    assert_refused(&compare("b.json"), "is of schema 99");
    assert_refused(&compare("no.json"), "cannot read no.json");
    fs::write(folder.path().join("half.json"), &read(folder.path()).to_string()[..200]).unwrap();
    assert_refused(&compare("half.json"), "not a whole file of figures");
    let mut other = read(folder.path());
    each_run(&mut other, |run| run["version"] = "v2-pessimistic".into());
    fs::write(folder.path().join("other.json"), other.to_string()).unwrap();
    assert_refused(&compare("other.json"), "no version in common");
}

/// Each round of random arrivals has another number of buyers. The schedule is the same.
#[test]
fn rounds_of_random_arrivals_are_compared_by_their_schedule() {
    let folder = tempfile::tempdir().unwrap();
    let args = "run v3 --database sqlite --rate 100/s --duration 1s --arrivals poisson --rounds 2 --json a.json";
    said(folder.path(), args);
    assert_eq!(said(folder.path(), "compare a.json a.json").status.code(), Some(0));
    let mut record = read(folder.path());
    each_run(&mut record, |run| run["load"]["stages"][0]["rate"] = 100.5.into());
    fs::write(folder.path().join("b.json"), record.to_string()).unwrap();
    assert_refused(&said(folder.path(), "compare a.json b.json"), "load 100/s at 0 s");
}

/// Chapter 6 has no servers here.
#[test]
fn a_run_that_fails_does_not_lose_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let args = "run v3 v6 --database sqlite --buyers 100 --connections 50 --stock 20 --json a.json";
    let output = said(folder.path(), args);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: v6-production: "), "{output:?}");
    let record = read(folder.path());
    assert_eq!((&record["runs"][0]["version"], &record["runs"][1]), (&"v3-optimistic".into(), &Value::Null));
}
