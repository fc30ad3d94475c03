//! `loadtest explore` and `loadtest replay`: what they print, write and refuse.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::{
    explore::LOST_UPDATE,
    support::{assert_refused, loadtest, own_mounts},
};
use serde_json::Value;

fn run(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(loadtest());
    let command = command.args(args.split(' ')).current_dir(folder).env_remove("DATABASE_URL").stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn impossible_explorations_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let said = |args: &str| run(folder.path(), args);
    assert_refused(&said("explore v4"), "v6 decides in Redis");
    assert_refused(&said("explore v1 --variant no-retry"), "it has transaction");
    assert_refused(&said("explore v1 --buyers 9"), "--buyers");
    assert_refused(&said("explore v1 --database sqlite"), "SQLite has no wire to hold");
    assert_refused(&said("replay v1 none.txt"), "cannot read none.txt");
    assert_refused(&said("replay v1 /dev/zero"), "/dev/zero does not end within 65536 bytes");
    for (text, why) in [
        ("A select · B delete", "`B delete` is no statement: they are select, update, insert, commit"),
        ("Z select", "they are A to D"),
        ("", "no statement in this schedule"),
        ("A select B select", "is not a buyer and a statement"),
    ] {
        fs::write(folder.path().join("schedule.txt"), text).unwrap();
        assert_refused(&said("replay v1 schedule.txt"), why);
    }
    fs::write(folder.path().join("schedule.txt"), LOST_UPDATE).unwrap();
    assert_refused(&said("replay v1 schedule.txt --database sqlite"), "SQLite has no wire to hold");
    assert_refused(&said("replay v6 schedule.txt"), "v6 decides in Redis");
    fs::write(folder.path().join("binary.txt"), [0xff, 0xfe, 0]).unwrap();
    assert_refused(&said("replay v1 binary.txt"), "cannot read binary.txt");
}

/// PostgreSQL is hidden in this test's own mount namespace.
#[test]
#[ignore = "hides PostgreSQL: make test"]
fn a_missing_postgres_is_named_with_what_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let hide = "for folder in /usr/lib/postgresql /usr/local/opt; do \
                if [ -d $folder ]; then mount -t tmpfs none $folder || exit 77; fi; done; PATH= exec \"$@\"";
    let mut command = own_mounts();
    let command = command.args(["sh", "-c", hide, "hide"]);
    let program = [loadtest(), PathBuf::from("explore"), PathBuf::from("v1")];
    let output = command.args(program).current_dir(folder.path()).env_remove("DATABASE_URL").output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_refused(&output, "PostgreSQL is not installed; `make services` installs it");
}

#[test]
#[ignore = "needs PostgreSQL: make test"]
fn a_part_of_the_interleavings_shows_a_mistake_and_no_promise() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code, says) in [
        ("explore v3 --orders 1", 3, "holds, invalid: not all interleavings were played"),
        ("explore v1 --orders 8", 0, "oversells, as promised"),
    ] {
        let output = run(folder.path(), args);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), said.contains(says)), (Some(code), true), "{args}: {output:?}");
    }
}

#[test]
#[ignore = "needs PostgreSQL: make test"]
fn the_command_prints_a_table_and_a_picture_and_writes_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "explore v1 v2 --json explored.json --html explored.html");
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(says.contains("12 of 16 interleavings oversell") && says.contains("0 of 8 interleavings"), "{says}");
    assert_eq!(says.matches("LOST UPDATE").count(), 1, "one picture: {says}");
    let text = fs::read(folder.path().join("explored.json")).unwrap();
    let record: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&record["kind"], &record["explored"][0]["version"]), (&"explored".into(), &"v1-naive".into()));
    let v1 = &record["explored"][0];
    for (figure, expected) in
        [("buyers", 2), ("stock", 1), ("orders_of_events", 16), ("classes", 4), ("oversell", 12), ("undersell", 0)]
    {
        assert_eq!(v1[figure], expected, "{figure}");
    }
    assert_eq!((&v1["variant"], &v1["shortest"][0]), (&Value::Null, &"A select".into()));
    let orders = v1["orders"].as_array().unwrap();
    assert!(orders.len() == 16 && orders[0]["told"]["A"] == "bought" && orders[0]["oversold"] == 0, "{}", orders[0]);
    assert!(record["machine"]["cores"].as_u64().unwrap() > 0 && record["command"].is_string());

    let made = run(folder.path(), "report explored.json --html again.html");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let [first, second] =
        ["explored", "again"].map(|name| fs::read_to_string(folder.path().join(format!("{name}.html"))));
    let first = first.unwrap();
    assert!(first == second.unwrap() && first.matches("<svg").count() == 2 && first.contains("lost update"));
    let table = run(folder.path(), "report explored.json --markdown");
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(table.contains("| v1-naive | 2, 1 | 16 | 4 | **12** | 0 |"), "{table}");
}

#[test]
#[ignore = "needs PostgreSQL: make test"]
fn one_of_each_class_is_played_and_all_interleavings_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), "explore v1 --classes --json explored.json --html explored.html");
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let expected = "12 of 16 interleavings oversell, 4 classes, one of each played: oversells, as promised";
    assert!(says.contains(expected), "{says}");
    let record: Value = serde_json::from_slice(&fs::read(folder.path().join("explored.json")).unwrap()).unwrap();
    let orders = record["explored"][0]["orders"].as_array().unwrap();
    let stands_for = |order: &Value| order["interleavings"].as_u64().unwrap_or(1);
    assert_eq!((orders.len(), orders.iter().map(stands_for).sum::<u64>()), (4, 16));
    let html = fs::read_to_string(folder.path().join("explored.html")).unwrap();
    assert!(html.contains("<summary>One interleaving of each class"), "{html}");
    let made = run(folder.path(), "report explored.json --html again.html");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(
        html,
        fs::read_to_string(folder.path().join("again.html")).unwrap(),
        "the file has all that the report shows"
    );
}

#[test]
#[ignore = "needs PostgreSQL: make test"]
fn a_schedule_is_replayed_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schedules/lost-update.txt");
    let args = format!("replay v1 {} --times 5 --json replayed.json --html replayed.html", file.display());
    let output = run(folder.path(), &args);
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(says.contains("5 of 5 the same: A was told bought, B was told bought"), "{says}");
    let made = run(folder.path(), "picture lanes replayed.json --svg lanes.svg");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let svg = fs::read_to_string(folder.path().join("lanes.svg")).unwrap();
    for words in ["v1-naive", "stale read", "lost update", "sold 1 · 2 orders", "oversold by 1"] {
        assert!(svg.contains(words), "{words}: {svg}");
    }
    assert_refused(&run(folder.path(), "report replayed.json --markdown"), "is of schedules, which have no table");
    fs::write(folder.path().join("early.txt"), "A select · B select").unwrap();
    assert_refused(&run(folder.path(), "replay v1 early.txt"), "ends too early: it leaves A at update, B at update");
}
