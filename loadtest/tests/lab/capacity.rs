//! `capacity`: a shop whose limit is known is measured, and the limit is named. Nothing here is about speed.

use std::{fs, path::Path, process::Output};

use crate::support::loadtest;
use serde_json::Value;

fn command(folder: &Path, args: &str) -> Output {
    let output = std::process::Command::new(loadtest()).args(args.split(' ')).current_dir(folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output
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
    let text = String::from_utf8(command(folder.path(), &args).stdout).unwrap();
    assert!(text.contains("rate limit: ") && text.contains("of the buyers without a unit"), "{text}");

    let file: Value = serde_json::from_slice(&fs::read(folder.path().join("capacity.json")).unwrap()).unwrap();
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
