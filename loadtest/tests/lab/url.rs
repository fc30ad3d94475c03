//! `run --url`: a shop that already runs, targets that are none, and loads that cannot be.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Output, Stdio},
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use crate::support::{assert_refused, eventually, loadtest, stub};
use axum::http::StatusCode;
use loadtest::{
    buyer::{client::Connection, open_loop::Visitors},
    verdict::history::Answer,
};
use serde_json::{Value, json};
use tokio::{net, process::Command, sync::watch, time::timeout};

/// Runs chapter 3's load in a folder of its own.
pub(crate) async fn said(args: &str) -> (Output, Option<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(loadtest());
    let command = command.args(["run", "v3", "--json", "run.json", "--html", "run.html"]).args(args.split(' '));
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().await.unwrap();
    let json = fs::read(folder.path().join("run.json")).ok();
    let report = fs::read_to_string(folder.path().join("run.html")).unwrap_or_default();
    assert!(json.is_none() || report.contains("coordinated omission") == args.contains("--rate"), "{report}");
    (output, json.map(|json| serde_json::from_slice(&json).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_runs_is_driven_and_the_file_has_it_all() {
    let url = format!("http://{}", stub::start(None).await);
    let (output, json) = said(&format!("--url {url} --rate 200/s --duration 1s --arrivals poisson --seed 3")).await;
    let (text, json) = (String::from_utf8_lossy(&output.stdout), json.expect("a file"));
    // A busy machine can make the run invalid, and then that is its code.
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{output:?}");
    assert!(
        text.contains("open loop, 200/s for 1 s, Poisson arrivals") && text.contains("coordinated omission"),
        "{text}"
    );
    assert!(text.contains("was not audited"), "{text}");
    // What is said of the shop is what its sale says.
    assert!(
        text.contains(" buyers, 1,000,000 of 1,000,000 units left, ") && text.contains(" connections; open loop"),
        "{text}"
    );
    assert!(!text.contains("database connections") && json["runs"][0]["pool"].is_null(), "{text}");
    let run = &json["runs"][0];
    assert_eq!((&run["url"], &run["database"]), (&format!("{url}/").into(), &Value::Null));
    assert_eq!((&run["load"]["loop"], &run["load"]["arrivals"]), (&"open".into(), &"poisson".into()));
    assert_eq!(run["load"]["stages"][1], serde_json::json!({ "second": 1.0, "rate": 200.0 }));
    let came = &run["open_loop"];
    assert_eq!(run["buyers"], came["arrivals"]["planned"]);
    for field in ["offered_per_second", "reached_per_second"] {
        assert!(came[field].as_f64().unwrap() > 0.0, "{came}");
    }
    assert!(came["late_answers"].is_u64() && !came["lag"]["buckets"].as_array().unwrap().is_empty(), "{came}");
    for (times, side) in [("times_ms", "latency"), ("times_ms", "service")] {
        assert!(run[times][side]["p99"].as_f64().unwrap() > 0.0 && run[times][side]["buckets"].is_array(), "{run}");
    }
    for side in ["latency", "service"] {
        assert_eq!(run["outcome_ms"]["bought"][side]["count"], run["outcomes"]["bought"], "{run}");
    }

    let (output, json) = said(&format!("--url {url} --buyers 50 --connections 5")).await;
    assert!(String::from_utf8_lossy(&output.stdout).contains("closed loop"), "{output:?}");
    let run = &json.expect("a file")["runs"][0];
    assert_eq!(
        (&run["load"]["loop"], &run["open_loop"], &run["told_yes"]),
        (&"closed".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(run["outcomes"]["bought"], 50);
}

/// What a target does with each connection. Standing still ends when the test does.
fn target(answer: &'static [u8], then_waits: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if !answer.is_empty() {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(answer);
            }
            if then_waits {
                held.push(stream);
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_is_no_shop_is_said_in_one_line_and_does_not_hang() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"stock\":";
    let page = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>";
    let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    let failing = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    // A port that is bound and does not listen: no other program takes it meanwhile.
    let bound = net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nowhere = bound.local_addr().unwrap();
    for (url, why) in [
        (format!("http://{nowhere}"), "cannot connect"),
        (target(b"", true), "no answer within 5s"),
        (target(b"", false), "no whole HTTP answer"),
        (target(b"\0garbage\r\n\r\n", false), "no whole HTTP answer"),
        (target(half, false), "no whole HTTP answer"),
        (target(half, true), "no answer within 5s"),
        (target(page, true), "is no sale"),
        (target(missing, true), "--sale names another"),
        (target(failing, true), "answers 500 Internal Server Error at /sales/1"),
        (sells(i64::MAX, -1).await, "is no sale"),
        (sells(5, -1).await, "is no sale"),
        (sells(-5, 0).await, "is no sale"),
        (sells(i64::MAX, 0).await, "is no sale"),
    ] {
        let (began, (output, json)) = (Instant::now(), said(&format!("--url {url}")).await);
        assert_refused(&output, why);
        assert!(json.is_none() && began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_what_to_write() {
    for (args, why) in [
        ("--url https://127.0.0.1:1", "http://127.0.0.1:3000"),
        ("--url http://127.0.0.1:1/shop", "http://127.0.0.1:3000"),
        ("--url http://127.0.0.1:1/#sale", "http://127.0.0.1:3000"),
        ("--url nonsense", "--url"),
        ("--url http://192.0.2.1:1", "--allow-remote"),
        ("--url http://127.0.0.1:1 --stock 5", "--stock"),
        ("--url http://127.0.0.1:1 --scenario flood", "--scenario"),
        ("--url http://127.0.0.1:1 --rounds 2", "one round"),
        ("--sale 2", "--url"),
        ("--rate 0 --database sqlite", "100/s"),
        ("--rate 2000000/s --database sqlite", "1,000,000/s"),
        ("--rate 1000000/s --database sqlite", "a lower rate or a shorter time"),
        ("--rate fast", "2000/s"),
        ("--rate 10 --duration 0s", "--duration"),
        ("--rate 10 --duration soon", "10s, 500ms or 2m"),
        ("--duration 10s", "--rate"),
        ("--rate 10 --buyers 10", "--buyers"),
        ("--rate 10 --stages 0:1,1s:1", "--stages"),
        ("--stages 0:0,5s:9,3s:1", "goes backwards"),
        ("--stages 0:0,5s", "0:0,5s:1000,30s:5000"),
        ("--arrivals burst", "--rate 2000/s"),
        ("--rate 10 --scenario flood", "for the stampede"),
    ] {
        assert_refused(&said(args).await.0, why);
    }
    for url in ["http://anna:secret@127.0.0.1:1", "http://:secret@127.0.0.1:1"] {
        let (output, _) = said(&format!("--url {url}")).await;
        assert_refused(&output, "http://127.0.0.1:3000");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("secret"), "{output:?}");
    }
    let (output, _) = said("--rate 10 --arrivals sometimes").await;
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("constant, poisson, burst"), "{output:?}");
}

pub(crate) const PURCHASE: &str = "/sales/1/purchase";

/// The URL of a shop with these numbers, which sells out at once.
async fn sells(stock: i64, sold: i64) -> String {
    let sold_out = (StatusCode::CONFLICT, json!({ "type": "sold-out" }));
    format!("http://{}", stub::answers(stock, sold, PURCHASE, sold_out).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_whose_links_lead_nowhere_is_left_after_eight_steps() {
    let shop = stub::answers(5, 0, "/step", (StatusCode::OK, stub::buy("/step"))).await;
    let (output, _) = said(&format!("--url http://{shop} --buyers 10 --connections 2")).await;
    assert_refused(&output, "gets no purchase URL after 8 steps");

    let visitors = Visitors { reads: Duration::from_secs(1), ..Visitors::steady(&[shop], 1, 20.0) };
    let (stop, stopped) = watch::channel(false);
    let progress = visitors.progress.clone();
    let coming = tokio::spawn(visitors.come(stopped));
    eventually("a visitor has left", async || progress.served.load(SeqCst) > 0).await;
    stop.send_replace(true);
    let visits = coming.await.unwrap().unwrap();
    assert!(!visits.history.is_empty() && visits.requests == 8 * visits.history.len() as u64, "{visits:?}");
    assert!(visits.history.iter().all(|told| told.answer == Answer::Unknown), "{visits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leaves_the_shop_is_not_followed() {
    let sold = (StatusCode::CREATED, json!({ "order_id": 1 }));
    for path in ["http://127.0.0.1:1/sales/1/purchase", "127.0.0.1:1", "*"] {
        let shop = stub::answers(5, 0, path, sold.clone()).await;
        assert_refused(&said(&format!("--url http://{shop}")).await.0, "the link leaves the shop");
    }
    let elsewhere = (StatusCode::OK, stub::buy("http://127.0.0.1:1/sales/1/purchase"));
    let shop = stub::answers(5, 0, PURCHASE, elsewhere).await;
    let (_, json) = said(&format!("--url http://{shop} --buyers 10 --connections 2")).await;
    let run = &json.expect("a file")["runs"][0];
    assert_eq!((&run["outcomes"], &run["requests"]), (&json!({ "unknown": 10 }), &10.into()), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_that_is_certain_to_fail_ends_both_loops() {
    let broken = (StatusCode::INTERNAL_SERVER_ERROR, json!({ "type": "about:blank" }));
    let url = format!("http://{}", stub::answers(5, 0, PURCHASE, broken).await);
    for load in ["--buyers 20000 --connections 5", "--rate 100/s --duration 60s"] {
        let began = Instant::now();
        let (output, json) = said(&format!("--url {url} {load} --fail-if errors>0 --abort-early")).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let run = &json.expect("a file")["runs"][0];
        let verdict = run["verdict"].as_str().unwrap();
        assert!(
            verdict.starts_with("invalid: stopped early by errors>0; ") && verdict.ends_with("did not ask"),
            "{run}"
        );
        assert!(run["seconds"].as_f64().unwrap() < 30.0 && began.elapsed() < Duration::from_secs(40), "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_that_no_version_has_is_another_one() {
    let colored = (StatusCode::CONFLICT, json!({ "type": "\u{1b}[31mred" }));
    let url = format!("http://{}", stub::answers(5, 0, PURCHASE, colored).await);
    let (_, json) = said(&format!("--url {url} --buyers 10 --connections 2")).await;
    assert_eq!(json.expect("a file")["runs"][0]["outcomes"], json!({ "other": 10 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shop_oversold_before_is_not_blamed_on_the_run() {
    let (output, json) = said(&format!("--url {} --buyers 10 --connections 2", sells(5, 10).await)).await;
    let run = &json.unwrap_or_else(|| panic!("{output:?}"))["runs"][0];
    assert_eq!((&run["oversold"], &run["undersold"]), (&0.into(), &0.into()), "{run}");
}

/// The listener accepts connections and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_loop_is_ended_while_it_opens_the_sale() {
    let silent = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let visitors = Visitors::steady(&[silent.local_addr().unwrap()], 1, 20.0);
    let (ending, (_stop, stopped)) = (visitors.progress.ending.clone(), watch::channel(false));
    let coming = tokio::spawn(visitors.come(stopped));
    let _asks = silent.accept().await.unwrap();
    ending.request();
    let visits = timeout(Duration::from_secs(20), coming).await.expect("an end").unwrap().unwrap();
    assert!(visits.history.is_empty(), "{visits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_a_broken_one() {
    let answer = |bytes| (StatusCode::OK, "x".repeat(bytes).into());
    let [whole, endless] = [1000, 1 << 20].map(|bytes| stub::answers(5, 0, PURCHASE, answer(bytes)));
    let mut connection = Connection::open(whole.await).await.unwrap();
    assert_eq!(connection.get("/", None).await.unwrap().body.len(), 1002);
    let mut connection = Connection::open(endless.await).await.unwrap();
    assert!(connection.get("/", None).await.is_err() && connection.is_closed());
}
