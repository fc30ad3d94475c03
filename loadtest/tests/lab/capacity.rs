//! `capacity`: a shop whose limit is known is measured, and the limit is named. Nothing here is about speed.

use std::{fs, path::Path, process::Output};

use crate::support::loadtest;
use serde_json::Value;

fn command(folder: &Path, args: &str) -> Output {
    let output = std::process::Command::new(loadtest()).args(args.split(' ')).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output
}

/// Searches the capacity, and returns the text and the file. A busy machine can spoil all runs of a rate that the limiter lets pass. Then
/// the search says nothing, and is played again, at most twice.
fn search(folder: &Path, args: &str) -> (String, Value) {
    let mut plays = 0;
    loop {
        plays += 1;
        let text = String::from_utf8(command(folder, args).stdout).unwrap();
        let file: Value = serde_json::from_slice(&fs::read(folder.join("capacity.json")).unwrap()).unwrap();
        let trials = file["capacities"][0]["trials"].as_array().unwrap();
        let rate = |trial: &Value| trial["offered"].as_f64().unwrap();
        let was_served =
            |of: f64| trials.iter().any(|trial| rate(trial) == of && trial["why"].as_array().unwrap().is_empty());
        if plays == 3 || trials.iter().map(rate).filter(|rate| *rate < 45.0).all(was_served) {
            return (text, file);
        }
        eprintln!("once more: {file}");
    }
}

/// The shop lets ten buyers pass at once, and 40 a second. Of 57 buyers a second it refuses more than a fifth in two seconds. The other
/// limits are so wide that a busy machine meets them.
#[test]
fn the_capacity_behind_a_rate_limit_is_that_limit() {
    let folder = tempfile::tempdir().unwrap();
    let limits = "--errors 20 --p99 60s --reached 10";
    let shop = "--global-rate=40 --global-burst=10";
    let files = "--json capacity.json --html capacity.html";
    let args = format!("capacity v4 --database sqlite --from 20/s --duration 2s {limits} {files} -- {shop}");
    let (text, file) = search(folder.path(), &args);
    assert!(text.contains("rate limit: ") && text.contains("of the buyers without a unit"), "{text}");

    let found = &file["capacities"][0];
    let rate = |what: &str| found[what].as_f64().unwrap();
    assert!((20.0..60.0).contains(&rate("per_second")) && rate("gives_way_at") <= 80.0, "{found}");
    assert_eq!((&file["kind"], &found["gave_way"][0]["what"]), (&"capacities".into(), &"limiter".into()));
    assert!(found["cost"]["processor_us"].as_f64().unwrap() > 0.0, "{found}");

    let html = fs::read_to_string(folder.path().join("capacity.html")).unwrap();
    assert!(html.contains("rate limit: ") && html.contains("circle class=\"curve c0 served\""), "{html}");
    command(folder.path(), "picture capacity capacity.json --svg capacity.svg");
    assert!(fs::read_to_string(folder.path().join("capacity.svg")).unwrap().contains("v4-ratelimit"));
    let markdown = command(folder.path(), "report capacity.json --markdown").stdout;
    assert!(String::from_utf8(markdown).unwrap().starts_with("| capacity | buyers/s |"));
}
