//! `cargo loadtest lab` without a browser: who may ask, what is refused, and that nothing is left behind.

use std::{
    io::{BufRead, BufReader},
    process::Command,
    time::Duration,
};

use crate::support::{
    assert_refused, eventually,
    lab_page::{LabPage, descendants},
    loadtest, own_mounts, within,
};
use serde_json::Value;

/// A run that takes two minutes.
const LONG: &str = r#"[{"version": "v1-naive", "rate": 20, "seconds": 120, "stock": 10}]"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_cleanly_when_its_browser_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.json");
    let lab = LabPage::start(&["--database", "sqlite", "--json", file.to_str().unwrap()]);
    let mut browser = lab.watch();
    assert_eq!(lab.post("/stampede", LONG).0, 202);
    let (status, why) = lab.post("/stampede", LONG);
    assert!(status == 409 && why.contains("a run is under way"), "{status} {why}");
    let (status, why) = lab.post("/sandbox", r#"{"do": "begin"}"#);
    assert!(status == 409 && why.contains("a run is under way on the first tab"), "{status} {why}");
    browser.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let sold = |line: &str| line.contains("\"yes\":") && !line.contains("\"yes\":0");
    assert!(BufReader::new(&mut browser).lines().any(|line| sold(&line.unwrap())), "a buyer has a unit");
    assert!(lab.runs().is_empty(), "it goes on while it is watched");

    drop(browser);
    within(Duration::from_secs(30), "it has ended", async || lab.runs().len() == 1).await;
    let run = lab.runs().remove(0);
    assert!(run["verdict"].as_str().unwrap().contains("ended by the user"), "{run}");
    let told: u64 = run["outcomes"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(told > 0 && run["orders"].as_u64() == run["outcomes"]["bought"].as_u64(), "it is audited: {run}");
    let kept: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(kept["runs"][0]["orders"], run["orders"], "the file is written at once");
    assert!(descendants(lab.pid(), "loadtest").is_empty(), "its shop has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_in_the_middle_of_a_run_leaves_nothing_behind() {
    let lab = LabPage::start(&["--database", "sqlite"]);
    let _browser = lab.watch();
    assert_eq!(lab.post("/stampede", LONG).0, 202);
    eventually("a shop runs", async || !descendants(lab.pid(), "loadtest").is_empty()).await;
    let shops = descendants(lab.pid(), "loadtest");
    assert_eq!(lab.interrupt().code(), Some(130));
    let is_alive = |pid: &i32| std::path::Path::new(&format!("/proc/{pid}/exe")).exists();
    eventually("the shop has ended", async || !shops.iter().any(is_alive)).await;
}

#[test]
fn a_second_lab_on_the_port_is_refused_in_one_line() {
    let first = LabPage::start(&["--database", "sqlite"]);
    let port = first.address.port().to_string();
    let second = Command::new(loadtest()).args(["lab", "--port", &port]).output().unwrap();
    assert_refused(&second, "is a lab running there? --port 0 takes a free port");
    assert_eq!(first.send("GET", "/", "", "").0, 200, "the first one goes on");
}

#[test]
fn other_sites_may_not_ask() {
    let lab = LabPage::start(&["--database", "sqlite"]);
    let json = "content-type: application/json\r\n";
    let ask = r#"[{"version": "v1-naive", "buyers": 1}]"#;
    let asked = |more: &str| lab.send("POST", "/stampede", &format!("{json}{more}"), ask).0;
    assert_eq!(asked("origin: http://evil.test\r\n"), 403);
    assert_eq!(asked("host: evil.test\r\n"), 403, "DNS rebinding");
    assert_eq!(lab.send("POST", "/stampede", "content-type: text/plain\r\n", ask).0, 415, "a form of another site");
    assert!(lab.runs().is_empty());
    assert_eq!(asked(&format!("origin: http://{}\r\n", lab.address)), 202);
}

#[test]
fn wrong_requests_are_refused_with_the_reason() {
    let lab = LabPage::start(&["--database", "sqlite"]);
    for (path, body, status, why) in [
        ("/stampede", "[]", 409, "one run or two"),
        ("/stampede", r#"[{"version": "v1-naive", "buyers": 0}]"#, 409, "buyers: write a number from 1"),
        ("/stampede", r#"[{"version": "v1-naive", "scenario": "forger"}]"#, 409, "no hidden URL"),
        ("/stampede", r#"[{"version": "v9"}]"#, 422, "unknown variant"),
        ("/stampede", "[", 400, "EOF"),
        ("/schedule", r#"{"version": "v5-hidden-api", "buyers": 2, "stock": 1}"#, 409, "v1, v2 and v3 only"),
        ("/schedule", r#"{"version": "v1-naive", "buyers": 4, "stock": 1}"#, 409, "two or three"),
        ("/schedule", r#"{"version": "v1-naive", "buyers": 2, "stock": 1, "moves": "XY"}"#, 409, "moves are buyers"),
        ("/sandbox", r#"{"do": "end"}"#, 409, "no sale is going on"),
        ("/sandbox", r#"{"do": "turn", "part": "moon", "to": "killed"}"#, 422, "unknown variant"),
    ] {
        let (answered, text) = lab.post(path, body);
        assert!(answered == status && text.contains(why), "{path} {body}: {answered} {text}");
    }
    assert_eq!(lab.send("GET", "/files/../Cargo.toml", "", "").0, 404);
    let choices: Value = serde_json::from_str(&lab.send("GET", "/choices", "", "").1).unwrap();
    assert!(choices["needs"]["scheduler"].as_str().unwrap().contains("SQLite has no wire"), "{choices}");
    assert!(
        choices["needs"]["v6"].as_str().unwrap().starts_with("Chapter 6 needs PostgreSQL, Redis and RabbitMQ"),
        "{choices}"
    );
}

/// The folders with PostgreSQL and RabbitMQ are hidden in a mount namespace of the lab, and the others are not on its PATH.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "hides folders in a namespace: make test"]
async fn without_any_server_chapters_1_to_5_run_on_sqlite_and_the_rest_says_what_it_needs() {
    let hide = "for folder in /usr/lib/postgresql /usr/lib/rabbitmq; do \
                if [ -d $folder ]; then mount -t tmpfs none $folder || exit; fi; done; \
                PATH=/nowhere exec \"$0\" lab --port 0";
    let lab = LabPage::of(own_mounts().args(["sh", "-c", hide]).arg(loadtest()));
    let choices: Value = serde_json::from_str(&lab.send("GET", "/choices", "", "").1).unwrap();
    assert_eq!(choices["database"], "SQLite");
    assert_eq!(
        choices["needs"]["v6"],
        "Chapter 6 needs PostgreSQL, Redis and RabbitMQ: `make services` installs them."
    );
    assert!(choices["needs"]["scheduler"].as_str().unwrap().ends_with(": `make services` installs it."), "{choices}");
    let _browser = lab.watch();
    for (n, version) in
        ["v1-naive", "v2-pessimistic", "v3-optimistic", "v4-ratelimit", "v5-hidden-api"].iter().enumerate()
    {
        let ask = format!(r#"[{{"version": "{version}", "buyers": 30, "stock": 5}}]"#);
        eventually("the run before is over", async || lab.post("/stampede", &ask).0 == 202).await;
        within(Duration::from_secs(60), "it is audited", async || lab.runs().len() == n + 1).await;
        let run = lab.runs().remove(n);
        assert_eq!((&run["version"], &run["database"]), (&(*version).into(), &"sqlite".into()), "{run}");
    }
}
