//! A reader who has gone, as after `| head -1`: no program panics, its files are written, and its exit code stays.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::support::{assert_refused, eventually, link, loadtest, v1_oversells};
use loadtest::{buyer::client::Connection, lab::servers::port::Port};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const RUN: &str = "run v3 --database sqlite --buyers 200 --connections 20 --stock 10 --rounds 2 --fail-if dropped>0";

fn start(folder: &Path, args: &str) -> Child {
    let mut command = Command::new(loadtest());
    command.args(args.split(' ')).current_dir(folder).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Closes both outputs, and returns the exit code.
fn code_without_reader(mut child: Child) -> Option<i32> {
    drop((child.stdout.take(), child.stderr.take()));
    child.wait().unwrap().code()
}

#[test]
fn a_run_writes_its_files_and_keeps_its_exit_code() {
    for lines in [0, 1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = start(folder.path(), &format!("{RUN} --json run.json --html run.html"));
        let mut out = BufReader::new(child.stdout.take().unwrap());
        for _ in 0..lines {
            assert!(out.read_line(&mut String::new()).unwrap() > 0);
        }
        drop(out);
        assert_eq!(code_without_reader(child), Some(1), "a threshold without samples is missed, after {lines} lines");
        let json: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path().join("run.json")).unwrap()).unwrap();
        assert_eq!(json["runs"].as_array().unwrap().len(), 2);
        assert!(fs::read_to_string(folder.path().join("run.html")).unwrap().contains("v3-optimistic"));
    }
}

#[test]
fn a_full_disk_costs_a_run_its_lines_and_is_an_error_where_they_are_the_result() {
    let folder = tempfile::tempdir().unwrap();
    v1_oversells(folder.path());
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for (args, is_result) in [
        ("report run.json --html again.html", false),
        ("report run.json --markdown", true),
        ("compare run.json run.json", true),
    ] {
        assert_eq!(code_without_reader(start(folder.path(), args)), Some(0), "{args}");
        let mut command = Command::new(loadtest());
        let output = command.args(args.split(' ')).current_dir(folder.path()).stdout(full()).output().unwrap();
        match is_result {
            true => assert_refused(&output, "No space left on device"),
            false => assert_eq!(output.status.code(), Some(0), "{output:?}"),
        }
    }
    assert!(folder.path().join("again.html").exists());
    for (args, code) in [("--help", 0), ("run v9", 4), ("run v3 --url http://127.0.0.1:1", 4), ("serve v3 -- --x", 4)] {
        assert_eq!(code_without_reader(start(folder.path(), args)), Some(code), "{args}");
    }
}

/// Each log line, and the line with the address, meets a closed pipe.
#[tokio::test(flavor = "multi_thread")]
async fn shops_and_the_payment_provider_continue_to_serve() {
    let folder = tempfile::tempdir().unwrap();
    for server in ["serve v1 --log trace --listen", "serve v3 --log trace --listen", "provider --listen"] {
        let port = Port::take().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port.number()));
        let mut child = start(folder.path(), &format!("{server} {address}"));
        drop((child.stdout.take(), child.stderr.take()));
        eventually("it listens", async || Connection::open(address).await.is_ok()).await;
        for buyer in (1..=3).filter(|_| server.starts_with("serve")) {
            let mut connection = Connection::open(address).await.unwrap();
            let bought = connection.send(&link("POST", "/sales/1/purchase"), Some(buyer), None).await.unwrap();
            assert_eq!(bought.status, 201, "{server}");
        }
        assert!(child.try_wait().unwrap().is_none(), "{server}");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{server}");
    }
}
