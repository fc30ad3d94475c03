//! `loadtest faults`: the command itself. What the faults do to chapter 6 is looked at in `nothing_is_lost`.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::support::loadtest;

#[test]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
fn a_fault_has_its_row_and_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let args = "faults redis-killed --buyers 400 --stock 100 --json faults.json";
    let output = Command::new(loadtest()).args(args.split(' ')).current_dir(folder.path()).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("[1/1] redis-killed: 400 buyers …"), "{output:?}");

    let text = fs::read(folder.path().join("faults.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let fault = &record["faults"][0];
    assert_eq!((&record["schema"], &record["seed"], &fault["fault"]), (&1.into(), &1.into(), &"redis-killed".into()));
    assert!(record["machine"]["cores"].as_u64().unwrap() > 0 && record["command"].is_string());
    let round = &fault["rounds"][0];
    assert_eq!((&round["stock"], &round["buyers"], &round["instances"]), (&100.into(), &400.into(), &2.into()));
    for figure in ["oversold", "lost_promises", "not_conserved", "unfinished"] {
        assert_eq!(round[figure], 0, "{figure}: {round}");
    }
    // Who was told to come back does not: units may be left.
    let sold = round["orders"].as_u64().unwrap();
    assert!((25..=100).contains(&sold) && round["sold"] == sold, "{round}");
    let told: u64 = round["outcomes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert!(told > 400, "the crowd, and those who tried: {round}");
    assert!(round["sold_when_struck"].as_u64().unwrap() >= 25, "{round}");
    let recovered = round["recovered_ms"].as_f64().unwrap();
    assert!(recovered > 0.0 && recovered < 60_000.0, "{round}");
    let row = table.lines().find(|line| line.starts_with("redis-killed")).expect("a row");
    assert!(row.contains(&format!("{sold} of 100")) && row.contains(&format!("{recovered:.0}")), "{table}");

    let output = Command::new(loadtest()).args(["report", "faults.json"]).current_dir(folder.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("is of faults: --markdown"), "{output:?}");
    let args = ["report", "faults.json", "--markdown"];
    let output = Command::new(loadtest()).args(args).current_dir(folder.path()).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        table.starts_with("| fault | rounds |") && table.contains(&format!("| redis-killed | 1 | {sold} of 100 |")),
        "{table}"
    );
}

#[test]
fn a_fault_that_nobody_knows_is_refused_with_those_there_are() {
    let output = Command::new(loadtest()).args(["faults", "redis-bored"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    for fault in ["redis-bored", "redis-killed", "redis-emptied", "rabbitmq-killed", "instance-stopped"] {
        assert!(said.contains(fault), "{said}");
    }
}
