//! Exit codes: 0 as promised, 1 a threshold is missed, 2 a promise is broken, 3 invalid, 4 set-up error, 130 interrupted. That 2
//! counts more than 1, and 1 more than 3, is in `thresholds`.

use std::process::Command;

use crate::support::{loadtest, v1_oversells};

fn code(args: &str) -> Option<i32> {
    let folder = tempfile::tempdir().unwrap();
    Command::new(loadtest()).args(args.split(' ')).current_dir(folder.path()).output().unwrap().status.code()
}

#[test]
fn zero_is_as_promised_breaking_included() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(v1_oversells(folder.path()).status.code(), Some(0));
}

#[test]
fn one_is_a_missed_threshold() {
    let crowd = "--database sqlite --buyers 300 --connections 100 --stock 20";
    assert_eq!(code(&format!("run v3 {crowd} --fail-if rps>0")), Some(1));
}

/// Chapter 3 without its retries undersells. Chapter 4 with one request per minute sells one of a hundred units.
#[test]
fn two_is_a_broken_promise() {
    let crowd = "--database sqlite --buyers 400 --connections 200";
    assert_eq!(code(&format!("run v3 {crowd} -- --retries 0")), Some(2));
    assert_eq!(code(&format!("run v4 {crowd} -- --global-rate 1 --global-burst 1")), Some(2));
}

#[test]
fn four_is_set_up() {
    assert_eq!(code("run v9"), Some(4));
    assert_eq!(code("run v1 --database mysql"), Some(4));
}
