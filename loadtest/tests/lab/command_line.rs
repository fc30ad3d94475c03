//! The command line: messages about wrong arguments, and the clean-up after an aborted run.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::support::{assert_refused, eventually, is_empty, loadtest, temporary, v1_oversells};
use loadtest::lab::servers::port::Port;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

fn said(args: &[&str]) -> Output {
    // Not in the source folder, where a report would stay.
    Command::new(loadtest()).args(args).current_dir(std::env::temp_dir()).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn wrong_values_are_refused_by_name() {
    assert_refused(&said(&["run", "v1", "--buyers", "0"]), "--buyers");
    assert_refused(&said(&["run", "v1", "--stock", "-1"]), "-1");
    assert_refused(&said(&["run", "v1", "--stock=-1"]), "--stock");
    assert_refused(&said(&["run", "v1", "--stock", "many"]), "--stock");
    assert_refused(&said(&["run", "v9"]), "v1-naive, v2-pessimistic, v3-optimistic, v4-ratelimit, v5-hidden-api");
    assert_refused(&said(&["run", "v1", "--variant", "x"]), "it has transaction");
    assert_refused(&said(&["run", "v1", "--database", "mysql://x"]), "sqlite, postgres");
    assert_refused(&said(&["run", "v2", "--variant", "insert-first", "--database", "sqlite"]), "PostgreSQL");
    assert_refused(&said(&["serve", "v1", "--pool-size", "0"]), "POOL_SIZE");
    assert_refused(&said(&["run", "v4", "--scenario", "forger"]), "no hidden URL");
    assert_refused(&said(&["run", "v5", "--scenario", "two-instances", "--instances", "1"]), "--instances 2");
    assert_refused(&said(&["run", "v1", "--json", "same", "--html", "same"]), "the same file: same");
    for (flag, says) in [
        ("--errors=200", "from 0 to 100"),
        ("--errors=NaN", "from 0 to 100"),
        ("--reached=-1", "from 0 to 100"),
        ("--p99=0s", "--p99 500ms"),
        ("--duration=100ms", "1s or more"),
    ] {
        assert_refused(&said(&["capacity", "v1", flag]), says);
    }
    for key in ["GLOBAL_RATE", "GLOBAL_BURST", "CLIENT_RATE", "CLIENT_BURST", "CLIENT_BUCKETS", "FREQUENCY_LIMIT"] {
        let flag = format!("--{}", key.to_lowercase().replace('_', "-"));
        for value in ["0", "-1", "99999999999999", "many", "1.5", ""] {
            assert_refused(&said(&["serve", "v5", &format!("{flag}={value}")]), key);
        }
    }
    for (flag, key) in
        [("--wait-timeout", "WAIT_TIMEOUT"), ("--path-ttl", "PATH_TTL"), ("--frequency-window", "FREQUENCY_WINDOW")]
    {
        for value in ["0", "-1", "1e9", "NaN", "soon"] {
            assert_refused(&said(&["serve", "v5", &format!("{flag}={value}")]), key);
        }
    }
    assert_refused(&said(&["serve", "v4", "--trusted-proxies", "10.0.0.0/99"]), "TRUSTED_PROXIES");
    assert_refused(&said(&["serve", "v4", "--block-list", "/no/such/list"]), "/no/such/list");
    assert_refused(&said(&["serve", "v3", "--retries", "-1"]), "-1");
    assert_refused(&said(&["run", "v3", "--database", "sqlite", "--", "--retries", "x"]), "RETRIES");
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_the_run() {
    let output = said(&["run", "v1", "--database", "sqlite", "--json", "/no/such/folder/run.json"]);
    assert_refused(&output, "cannot write /no/such/folder/run.json");
    assert!(output.stdout.is_empty(), "nothing has been run");
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&said(&["serve", "v1", "--listen", &address]), &address);
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let port = Port::take().unwrap();
    let free = SocketAddr::from(([127, 0, 0, 1], port.number()));
    let url = format!("postgres://me:secret@{free}/shop");
    for output in [said(&["run", "v1", "--database", &url]), said(&["serve", "v1", "--database-url", &url])] {
        assert_refused(&output, &format!("{free}/shop"));
        assert_refused(&output, "cargo loadtest services");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"));
    }
    for url in ["postgres://me:secret@host:port/shop", "mysql://me:secret@host/shop", "secret"] {
        for output in [said(&["run", "v1", "--database", url]), said(&["serve", "v1", "--database-url", url])] {
            assert_eq!(output.status.code(), Some(4));
            assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"), "{output:?}");
        }
    }
}

#[test]
fn too_few_open_files_are_noticed_before_the_run() {
    let script = format!("ulimit -n 300; exec {} run v1 --database sqlite --connections 1000", loadtest().display());
    let output = Command::new("sh").args(["-c", &script]).current_dir(std::env::temp_dir()).output().unwrap();
    assert_refused(&output, "1000 connections need 1200 open files");
    assert_refused(&output, "--connections 100");
}

#[test]
fn a_secret_that_is_none_is_refused_and_not_printed() {
    let short = "hunter2-hunter2";
    let output = said(&["serve", "v5", "--path-secret", short]);
    assert_refused(&output, "PATH_SECRET has 15 bytes; it needs 32 or more");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(short));
    assert_refused(&said(&["serve", "v5", "--mode", "production"]), "a PATH_SECRET of its own");
    let everybodys = "everybody who reads the source of chapter 5 knows this";
    assert_refused(&said(&["serve", "v5", "--mode", "production", "--path-secret", everybodys]), "of its own");
}

/// A machine on which no server is installed.
#[test]
#[ignore = "takes a minute or two: make test"]
fn the_demo_on_sqlite_breaks_v1_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--database", "sqlite", "--json", "demo.json", "--html", "demo.html"];
    let output = Command::new(loadtest()).args(args).current_dir(folder.path()).output().unwrap();
    let record: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("demo.json")).unwrap()).unwrap();
    let runs = record["runs"].as_array().unwrap();
    // Three columns measure time, and this is a debug build on a busy machine. They may fail, and the output then says so; nothing
    // else may.
    let fine = ["as promised", "measured"];
    let wrong: Vec<_> = runs.iter().filter(|run| !fine.contains(&run["verdict"].as_str().unwrap())).collect();
    let broken = wrong.iter().any(|run| run["verdict"] == "not as promised");
    let counts = ["oversold", "double_bought", "lost_promises", "phantom_orders", "not_conserved"];
    let timed = |run: &&serde_json::Value| match run["scenario"].as_str().unwrap() {
        "flood" | "bystander" => true,
        "office" => counts.iter().all(|count| run[count] == 0), // only its figure is a matter of time
        _ => false,
    };
    assert!(wrong.iter().all(timed), "{output:?}");
    let code = if wrong.is_empty() {
        0
    } else if broken {
        2
    } else {
        3
    };
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let came_out: Vec<_> = runs
        .iter()
        .map(|run| {
            format!("{} {}: {}, {}", run["version"], run["variant"], run["promised"], run["verdict"]).replace('"', "")
        })
        .collect();
    let expected = [
        "v1-naive null: oversells, as promised",
        "v2-pessimistic null: holds, as promised",
        "v2-pessimistic process-lock: oversells, as promised",
        "v3-optimistic null: holds, as promised",
        "v3-optimistic no-retry: undersells, as promised",
        "v3-optimistic conditional: holds, as promised",
        "v4-ratelimit null: holds, as promised",
        "v5-hidden-api null: holds, as promised",
    ];
    let (ladder, attacks) = came_out.split_at(expected.len());
    assert_eq!(ladder, expected);
    assert_eq!(attacks.len(), 5 * 8 - 4, "every other cell of the table");
    assert!(runs[0]["oversold"].as_i64().unwrap() > 1000, "{}", runs[0]["oversold"]);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("diff v1-naive/src/purchase.rs v2-pessimistic/src/purchase.rs"), "{table}");
    assert!(table.contains("early-bird") && table.contains("NOT AS PROMISED") == broken, "{table}");
    let report = fs::read_to_string(folder.path().join("demo.html")).unwrap();
    assert!(
        report.contains("oversold from here")
            && report.contains("class=\"matrix\"")
            && report.contains("class=\"funnel\"")
    );
}

/// A variant from the environment would promise something else, and no record would say why.
#[test]
fn a_run_ignores_the_shells_variables() {
    let folder = tempfile::tempdir().unwrap();
    let args = "run v3 --database sqlite --buyers 300 --connections 100 --stock 20";
    let mut command = Command::new(loadtest());
    let command = command.args(args.split(' ')).current_dir(folder.path());
    let output = command.env("VARIANT", "no-retry").env("RETRIES", "0").env("STOCK", "many").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_run_without_servers_writes_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let output = v1_oversells(folder.path());
    let record: serde_json::Value = serde_json::from_slice(&fs::read(folder.path().join("run.json")).unwrap()).unwrap();
    let run = &record["runs"][0];
    assert_eq!(
        (&record["kind"], &run["version"], &run["database"]),
        (&"runs".into(), &"v1-naive".into(), &"sqlite".into())
    );
    assert!(run["oversold"].as_i64().unwrap() > 0, "{run}");
    assert_eq!(run["orders"].as_i64().unwrap() - 5, run["oversold"].as_i64().unwrap());
    assert!(run["latency_ms"]["bought"]["p99"].as_f64().unwrap() > 0.0, "{run}");
    assert_eq!((&run["promised"], &run["verdict"]), (&"oversells".into(), &"as promised".into()));
    assert!(record["machine"]["cores"].as_u64().unwrap() > 0 && record["command"].is_string());
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("5 in stock") && table.contains("`sold` says"), "{table}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: make test"]
async fn an_aborted_run_leaves_nothing() {
    for (signal, code) in [
        (Signal::SIGINT, Some(130)),
        (Signal::SIGTERM, Some(143)),
        (Signal::SIGHUP, Some(129)),
        (Signal::SIGKILL, None),
    ] {
        let (folder, results) = (temporary(), temporary());
        let mut command = Command::new("env"); // a `nohup` around the tests would be inherited
        let args = ["run", "v2", "--database", "postgres", "--buyers", "1000000", "--connections", "50"];
        let mut run = command
            .arg("--default-signal=HUP")
            .arg(loadtest())
            .args(args)
            .env("TMPDIR", folder.path())
            .current_dir(results.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(run.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("1,000,000 buyers"), "{line}"); // the lab is open, and the shop is being started

        kill(Pid::from_raw(run.id() as i32), signal).unwrap();
        assert_eq!(run.wait().unwrap().code(), code);
        let servers_gone = async || {
            fs::read_dir(folder.path())
                .unwrap()
                .flatten()
                .all(|entry| !entry.file_name().to_string_lossy().starts_with("oversold-servers-"))
        };
        eventually("the servers are gone", servers_gone).await;
        if code.is_some() {
            assert!(is_empty(folder.path()), "and so is all else");
        }
    }
}

/// The program is not built for unit tests, so a test in it would never run.
#[test]
fn the_program_has_no_unit_tests() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = fs::read_dir(sources.join("command")).unwrap().map(|file| file.unwrap().path());
    let nested = files.flat_map(|path| match path.is_dir() {
        true => fs::read_dir(path).unwrap().map(|file| file.unwrap().path()).collect(),
        false => vec![path],
    });
    for file in nested.chain([sources.join("main.rs")]) {
        assert!(!fs::read_to_string(&file).unwrap().contains("cfg(test)"), "{}", file.display());
    }
}
