//! Ctrl-C, SIGTERM and SIGHUP during a run: the report is kept, the exit code is 128 and the signal's number, and nothing stays behind.

use std::{
    fs,
    future::pending,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::support::{eventually, is_empty, loadtest, serve, temporary};
use axum::{
    Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Child, time::sleep};

/// The file of its standard error.
const ERR: &str = "err.txt";

/// A load test that runs, and where it writes.
pub(crate) struct Running {
    /// Its temporary files: empty when it has ended.
    pub(crate) temporary: TempDir,
    results: TempDir,
    pub(crate) child: Child,
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    out: String,
    pub(crate) err: String,
    /// The runs of its file; `None` if it wrote none.
    pub(crate) runs: Option<Vec<Value>>,
    pub(crate) took: Duration,
}

impl Running {
    pub(crate) fn start(args: &str) -> Running {
        Running::start_with(args, "--default-signal=HUP")
    }

    /// Starts it by `env` with this option, because a `nohup` around the tests would be inherited.
    pub(crate) fn start_with(args: &str, option: &str) -> Running {
        let (temporary, results) = (temporary(), tempfile::tempdir().unwrap());
        let mut command = tokio::process::Command::new("env");
        command.arg(option).arg(loadtest()).args(args.split(' ')).args(["--json", "run.json", "--html", "run.html"]);
        command.env("TMPDIR", temporary.path()).current_dir(results.path());
        let err = fs::File::create(results.path().join(ERR)).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(err).spawn().unwrap();
        Running { temporary, results, child }
    }

    /// Waits until its standard error has this. Two signals that come before it has seen the first one are one to it.
    pub(crate) async fn says(&self, text: &str) {
        let err = self.results.path().join(ERR);
        eventually(text, async || fs::read_to_string(&err).unwrap().contains(text)).await;
    }

    pub(crate) fn interrupt(&self) {
        self.signal(Signal::SIGINT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap() as i32), signal).unwrap();
    }

    /// Freezes its shop.
    pub(crate) fn freeze_shop(&self) {
        let shop = self.shop().split_whitespace().next().unwrap().parse().unwrap();
        kill(Pid::from_raw(shop), Signal::SIGSTOP).unwrap();
    }

    /// Its shop's process id and arguments.
    fn shop(&self) -> String {
        let folder = self.temporary.path().to_str().unwrap();
        let processes = Command::new("ps").args(["-ww", "-eo", "pid,args"]).output().unwrap();
        let processes = String::from_utf8_lossy(&processes.stdout);
        let is_it = |line: &&str| line.contains(" serve ") && line.contains(folder);
        processes.lines().find(is_it).expect("the shop").to_owned()
    }

    /// Waits until a shop of it has an order in its database.
    pub(crate) async fn has_sold(&self) {
        self.has_sold_more_than(0).await;
    }

    pub(crate) async fn has_sold_more_than(&self, units: i64) {
        eventually("an order", async || self.orders().await.is_some_and(|orders| orders > units)).await;
    }

    /// Waits until each of this many buyers has an order, and then for two seconds, in which the last ones get their answers.
    pub(crate) async fn has_sold_to_all(&self, buyers: i64) {
        eventually("all have an order", async || self.orders().await == Some(buyers)).await;
        sleep(Duration::from_secs(2)).await;
    }

    /// The number of connections to its shop.
    fn connections(&self) -> usize {
        let port = self.shop().split_whitespace().find_map(|word| word.strip_prefix("127.0.0.1:")?.parse::<u16>().ok());
        let to = format!(":{:04X}", port.expect("the shop's port"));
        let sockets = fs::read_to_string("/proc/net/tcp").unwrap();
        let is_one = |line: &str| matches!(line.split_whitespace().collect::<Vec<_>>()[..], [_, _, remote, "01", ..] if remote.ends_with(&to));
        sockets.lines().filter(|line| is_one(line)).count()
    }

    /// The orders in its database; `None` if it has none yet.
    async fn orders(&self) -> Option<i64> {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", database(self.temporary.path())?.display());
        let pool = sqlx::AnyPool::connect(&url).await.ok()?;
        let orders = sqlx::query_scalar("select count(*) from orders").fetch_one(&pool).await;
        pool.close().await;
        orders.ok()
    }

    /// Waits until it has ended, and asserts that no process and no file of it is left.
    pub(crate) async fn end(self) -> Ended {
        let since = Instant::now();
        let output = self.child.wait_with_output().await.unwrap();
        let took = since.elapsed();
        let folder = self.temporary.path().to_str().unwrap();
        let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&processes.stdout).contains(folder), "a process is left");
        assert!(is_empty(self.temporary.path()), "and so is a file");
        let json = fs::read(self.results.path().join("run.json")).ok();
        let json: Option<Value> = json.map(|json| serde_json::from_slice(&json).unwrap());
        assert_eq!(json.is_some(), self.results.path().join("run.html").exists());
        Ended {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: fs::read_to_string(self.results.path().join(ERR)).unwrap(),
            runs: json.map(|json| json["runs"].as_array().unwrap().clone()),
            took,
        }
    }
}

/// The SQLite file of the run.
fn database(temporary: &Path) -> Option<PathBuf> {
    let run = fs::read_dir(temporary).ok()?.flatten().next()?.path();
    let mut files = fs::read_dir(run).ok()?.flatten().map(|file| file.path());
    files.find(|file| file.extension().is_some_and(|extension| extension == "db"))
}

/// Buyers who had some result.
pub(crate) fn asked(run: &Value) -> u64 {
    run["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

#[track_caller]
fn assert_ended_by_the_user(run: &Value) {
    let verdict = run["verdict"].as_str().unwrap();
    assert!(verdict.starts_with("invalid: ended by the user after "), "{verdict}");
    assert!(run["seconds"].as_f64().unwrap() > 0.0 && run["requests_per_second"].is_f64(), "{run}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_and_an_open_loop_keep_their_report() {
    let (closed, open) = ("--buyers 1000000 --connections 50", "--rate 200/s --duration 600s");
    for (load, signal, code) in [
        (closed, Signal::SIGINT, 130),
        (open, Signal::SIGINT, 130),
        (closed, Signal::SIGTERM, 143),
        (open, Signal::SIGHUP, 129),
    ] {
        let run = Running::start(&format!("run v1 --database sqlite {load}"));
        run.has_sold().await;
        run.signal(signal);
        let ended = run.end().await;
        assert_eq!(ended.code, Some(code), "{}", ended.err);
        assert!(ended.err.contains("ending the run") && !ended.err.contains("error"), "{}", ended.err);
        assert!(ended.out.contains("ended by the user after") && ended.out.contains("report: "), "{}", ended.out);
        let [run] = &ended.runs.expect("a file")[..] else { panic!("{}", ended.out) };
        assert_ended_by_the_user(run);
        assert!((1..120_000).contains(&asked(run)) && run["orders"].as_i64().unwrap() > 0, "{run}");
        assert_eq!(run["lost_promises"], 0, "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_rounds_stay_and_no_further_one_is_played() {
    let run = Running::start("run v3 --database sqlite --buyers 100 --connections 20 --stock 10 --rounds 1000");
    run.has_sold().await;
    sleep(Duration::from_secs(2)).await;
    run.interrupt();
    let ended = run.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    let runs = ended.runs.expect("a file");
    assert!((1..1000).contains(&runs.len()));
    for run in &runs[..runs.len() - 1] {
        assert_eq!((asked(run), run["verdict"].as_str()), (100, Some("as promised")), "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_matrix_and_a_demo_report_the_cells_that_were_played() {
    for command in ["matrix --quick", "demo"] {
        let run = Running::start(&format!("{command} --database sqlite"));
        run.has_sold().await;
        sleep(Duration::from_secs(3)).await;
        run.interrupt();
        let ended = run.end().await;
        assert_eq!(ended.code, Some(130), "{}", ended.err);
        let runs = ended.runs.expect("a file");
        assert!((1..30).contains(&runs.len()) && runs[0]["version"] == "v1-naive", "{}", ended.out);
        let ended_early = |run: &Value| run["verdict"].as_str().unwrap().contains("ended by the user");
        assert!(!runs[..runs.len() - 1].iter().any(ended_early), "only the last one can be");
    }
}

/// Its process is frozen, and holds whatever locks it has.
#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_hangs_does_not_keep_the_report_back() {
    let run = Running::start("run v2 --database sqlite --rate 100/s --duration 600s --stock 100000");
    run.has_sold().await;
    run.freeze_shop();
    eventually("buyers wait", async || run.connections() >= 40).await;
    run.interrupt();
    let ended = run.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    let run = &ended.runs.expect("a file")[0];
    assert_ended_by_the_user(run);
    assert!(run["outcomes"]["unknown"].as_u64().unwrap() > 10, "{run}");
}

/// A shop that sells ten units and then answers no more, whatever it is asked. Also returns how many buyers have asked it.
async fn falls_silent() -> (String, Arc<AtomicI64>) {
    let asked = Arc::new(AtomicI64::new(0));
    let (sold, count) = (asked.clone(), asked.clone());
    let sale = move || async move {
        let buy = json!({ "method": "POST", "href": "/sales/1/purchase" });
        let sold = count.load(SeqCst);
        if sold > 10 {
            pending::<()>().await;
        }
        Json(json!({ "id": 1, "stock": 100, "sold": sold, "buy": buy }))
    };
    let purchase = move || async move {
        let order_id = 1 + sold.fetch_add(1, SeqCst);
        if order_id > 10 {
            pending::<()>().await;
        }
        (StatusCode::CREATED, Json(json!({ "order_id": order_id })))
    };
    let app = Router::new().route("/sales/1", get(sale)).route("/sales/1/purchase", post(purchase));
    (format!("http://{}", serve(app).await), asked)
}

/// A run against such a shop, whose buyers wait.
async fn of_a_silent_shop(load: &str) -> Running {
    let (url, asked) = falls_silent().await;
    let run = Running::start(&format!("run v3 --url {url} {load}"));
    eventually("30 buyers", async || asked.load(SeqCst) >= 30).await;
    run
}

#[tokio::test(flavor = "multi_thread")]
async fn buyers_who_wait_are_given_up_and_their_result_is_unknown() {
    for load in ["--buyers 1000 --connections 40", "--rate 50/s --duration 600s"] {
        let run = of_a_silent_shop(load).await;
        run.interrupt();
        let ended = run.end().await;
        assert_eq!(ended.code, Some(130), "{}", ended.err);
        assert!(ended.took < Duration::from_secs(20), "{:?}", ended.took);
        let [run] = &ended.runs.expect("a file")[..] else { panic!("{}", ended.out) };
        assert_ended_by_the_user(run);
        let unknown = run["outcomes"]["unknown"].as_u64().unwrap();
        assert!(unknown >= 20 && asked(run) - unknown <= 10, "{run}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ctrl_c_ends_at_once() {
    let run = of_a_silent_shop("--buyers 1000 --connections 40").await;
    run.interrupt();
    run.says("ending the run").await;
    run.interrupt();
    let ended = run.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.runs.is_none() && !ended.out.contains("report"), "{}", ended.out);
}

/// The shell sends it, and the system does.
#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_closed_sends_sighup_twice_and_the_report_is_kept() {
    let run = of_a_silent_shop("--buyers 1000 --connections 40").await;
    run.signal(Signal::SIGHUP);
    run.says("ending the run").await;
    run.signal(Signal::SIGHUP);
    let ended = run.end().await;
    assert_eq!(ended.code, Some(129), "{}", ended.err);
    assert_ended_by_the_user(&ended.runs.expect("a file")[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_buyer_there_is_nothing_to_report() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let run = Running::start(&format!("run v3 --url http://{}", silent.local_addr().unwrap()));
    let _asks = silent.accept().await.unwrap();
    run.interrupt();
    let ended = run.end().await;
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains("ended by the user before a buyer came: there is nothing to report"), "{}", ended.err);
    assert!(ended.runs.is_none());
}
