//! Extreme values of the options: refused with one line, or handled correctly.

use std::process::{Command, Output};

use crate::support::loadtest;

fn run(args: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(loadtest());
    command.arg("run").args(args.split(' ')).args(["--database", "sqlite"]).current_dir(folder.path()).output().unwrap()
}

/// Asserts that a run with these arguments succeeds and prints this text, which has the verdict.
#[track_caller]
fn comes_out(args: &str, words: &str) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.code() == Some(0) && said.contains(words), "{args}: {output:?}");
}

#[track_caller]
fn is_refused(args: &str, line: &str) {
    let output = run(args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(4) && said.contains(line) && said.lines().count() == 1, "{args}: {output:?}");
}

#[test]
fn a_sale_of_nothing_breaks_no_promise() {
    comes_out("v1 --stock 0 --buyers 100", "0 in stock, 0 sold: may break, measured");
    comes_out("v3 --variant no-retry --stock 0 --buyers 100", "0 in stock, 0 sold: may break, measured");
    comes_out("v2 --stock 0 --buyers 100", "0 in stock, 0 sold: holds, as promised");
    comes_out("v4 --scenario scalper --stock 0 --buyers 10", "0 units; 0 of 3 honest buyers beside it got a unit");
}

#[test]
fn one_buyer_is_no_crowd_and_zero_buyers_are_refused() {
    is_refused("v1 --buyers 0", "0 is not in 1..=1000000");
    comes_out("v1 --buyers 1", "100 in stock, 1 sold: may break, measured");
    comes_out("v2 --buyers 1", "100 in stock, 1 sold: holds, as promised");
    comes_out("v1 --scenario scalper --buyers 1", "may break, measured");
    comes_out("v5 --scenario early-bird --buyers 1", "3 of 3 honest buyers beside it got a unit");
}

#[test]
fn more_instances_than_buyers_are_fine() {
    comes_out("v2 --scenario two-instances --instances 16 --buyers 3", "3 sold: holds, as promised");
    comes_out("v5 --scenario two-instances --instances 16 --buyers 3", "may break, measured");
}

#[test]
fn a_thousand_sales_are_audited_one_by_one() {
    comes_out(
        "v2 --sales 1000 --stock 1 --buyers 2000 --connections 100",
        "1,000 in stock, 1,000 sold: holds, as promised",
    );
    is_refused("v4 --scenario flood --sales 3", "flood is about one sale; --sales is for crowds");
}

#[test]
fn a_restart_needs_two_buyers_and_two_units() {
    for edge in ["--stock 0 --buyers 100", "--stock 1 --buyers 100", "--stock 5 --buyers 1"] {
        is_refused(&format!("v2 --scenario restart {edge}"), "it needs --stock and --buyers of 2 or more");
    }
}

/// The default limit of a shell. The hard limit is higher, so the program raises its limit to what it needs.
#[test]
fn as_many_open_files_are_reserved_as_are_needed() {
    let args = "run v2 --scenario bystander --instances 3 --buyers 600 --connections 600 --database sqlite";
    let folder = tempfile::tempdir().unwrap();
    let script = format!("ulimit -Sn 1024; exec {} {args}", loadtest().display());
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The result depends on time. Too few files would be a set-up error, or connections that cannot be opened.
    assert!(output.status.code() != Some(4) && said.contains("bystanders' p99"), "{output:?}");
}
