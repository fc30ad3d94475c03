//! The tests' shared support: one PostgreSQL server per test program, a fresh database per test, shops as child processes.

#![allow(dead_code, unreachable_pub, reason = "every test program uses its own part")]

/// A real browser.
pub mod browser;
/// Uses chapter 6's page as a buyer.
pub mod buying;
/// A proxy between a browser and a shop.
pub mod edge;
/// The page of `cargo loadtest lab`.
pub mod lab_page;
/// A shop that lies.
pub mod liar;
/// The payment provider of a test.
pub mod money;
/// Chapter 6's OpenAPI document.
pub mod openapi;
/// Orders of chapter 6.
pub mod orders;
/// Chapter 6 and its servers.
pub mod production;
/// A proxy in front of a server, for faults on the wire.
pub mod proxy;
/// Requests to chapter 6.
pub mod requests;
/// A shop without a database.
pub mod stub;
/// Raw bytes on a socket.
pub mod wire;

use std::{
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
    time::{Duration, Instant},
};

use loadtest::{
    buyer::client::{Connection, Link, Reply},
    lab::{
        Backend, FreshDatabase, Lab,
        servers::{Server, Services},
        shop_process::ShopProcess,
    },
    verdict::ledger::Ledger,
    version::Version,
};
use serde_json::Value;
use sqlx::AnyPool;
use tempfile::TempDir;
use v1_naive::shop::sales::Sale;

/// The id of the sale that the tests buy from.
pub const SALE: i64 = 42;
/// One hour in milliseconds.
pub const HOUR: i64 = 3_600_000;

/// The load test's program, built with this test program.
pub fn loadtest() -> PathBuf {
    env!("CARGO_BIN_EXE_loadtest").into()
}

/// Runs v1 on SQLite in `folder` until it oversells, which is likely but random. Writes `run.json` and `run.html` there.
pub fn v1_oversells(folder: &Path) -> Output {
    let args =
        "run v1 --database sqlite --buyers 500 --connections 100 --stock 5 --json run.json --html run.html --seed";
    for seed in ["1", "2", "3", "4", "5"] {
        let output = Command::new(loadtest()).args(args.split(' ')).arg(seed).current_dir(folder).output().unwrap();
        match output.status.code() {
            Some(0) => return output,
            // On a very busy machine the first five buyers may be served before the sixth one asks.
            Some(2) => eprintln!("held with seed {seed}"),
            _ => panic!("{output:?}"),
        }
    }
    panic!("v1 held five times");
}

/// A lab on `sqlite` or `postgres`.
pub async fn lab(database: &str) -> Lab {
    static SERVICES: OnceLock<Services> = OnceLock::new();
    let backend = match database {
        "postgres" => {
            let start = || Services::start(&loadtest(), &[Server::Postgres]).expect("PostgreSQL starts");
            let services = tokio::task::block_in_place(|| SERVICES.get_or_init(start));
            Backend::Server(services.url(Server::Postgres).unwrap().clone())
        }
        _ => Backend::Sqlite,
    };
    Lab::open(loadtest(), &backend).await.unwrap().in_shared_process()
}

/// A version with one sale, and a pool for direct access to its database.
pub struct Shop {
    pub version: Version,
    pub pool: AnyPool,
    pub database: FreshDatabase,
    pub process: ShopProcess,
    pub lab: Lab,
}

impl Shop {
    pub async fn start(version: Version, database: &str, stock: i64, args: &[&str]) -> Shop {
        let lab = lab(database).await;
        let database = lab.fresh_database().await.unwrap();
        let mut all = vec!["--database-url".to_owned(), database.url.to_string()];
        all.extend(args.iter().map(|&arg| arg.to_owned()));
        let process = ShopProcess::start(&lab.loadtest, version, &all, lab.folder.path().join("log")).await.unwrap();
        let pool = database.connect().await.unwrap();
        Sale::open(SALE, stock).insert(&pool).await.unwrap();
        Shop { version, pool, database, process, lab }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.address
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(self.address()).await.unwrap()
    }

    pub async fn ledger(&self) -> Ledger {
        Ledger::read(&self.pool, None, &[SALE]).await.unwrap()
    }

    /// The shop's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.lab.folder.path().join("log")).unwrap()
    }

    /// Asks for one unit, step by step.
    pub async fn buy(&self, buyer: i64) -> Reply {
        buy(&mut self.connect().await, self.version, buyer).await
    }
}

/// Asks for one unit of [`SALE`] and follows the links; returns the last answer.
pub async fn buy(connection: &mut Connection, version: Version, buyer: i64) -> Reply {
    let first = if version.hides_the_address() { "/sales/42/path" } else { "/sales/42/purchase" };
    let mut next = link("POST", first);
    loop {
        let reply = connection.send(&next, Some(buyer), None).await.unwrap();
        if reply.status != 200 {
            return reply;
        }
        next = step(&reply);
    }
}

/// The link in an answer.
pub fn step(reply: &Reply) -> Link {
    let body = json(reply);
    link(body["buy"]["method"].as_str().expect("a method"), body["buy"]["href"].as_str().expect("an address"))
}

/// Serves this test's own app until the test is over.
pub async fn serve(app: axum::Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(v1_naive::shop::serve(listener, app, std::future::pending()));
    address
}

pub fn link(method: &str, path: &str) -> Link {
    Link::new(method.parse().unwrap(), path).unwrap()
}

pub fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).expect("a JSON body")
}

/// Asserts that `reply` is a problem document of this status and type.
#[track_caller]
pub fn assert_problem(reply: &Reply, status: u16, kind: &str) {
    let body = json(reply);
    assert_eq!((reply.status.as_u16(), body["type"].as_str()), (status, Some(kind)), "{body}");
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(body["status"], status);
    assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
}

/// Asserts exit code 4 and one line that contains `what`, besides the lines about progress.
#[track_caller]
pub fn assert_refused(output: &Output, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().filter(|line| !line.ends_with('…')).collect();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(matches!(lines[..], [line] if line.starts_with("error: ") && line.contains(what)), "{text}");
}

/// Polls until `condition` holds; fails after a minute. All promises are faster, but the machine may be busy.
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(60), what, condition).await;
}

/// Polls until `condition` holds; fails after this time.
pub async fn within(patience: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !condition().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `unshare` with arguments for mounts that only its program sees. Root needs no user namespace, and a chroot allows none.
pub fn own_mounts() -> Command {
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--mount");
    command
}

/// A folder for temporary files that an unprivileged PostgreSQL can reach.
pub fn temporary() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Writes an executable script. Another process writes it: if this process had it open, a child of a parallel test could inherit
/// the file, and a file that is open for writing cannot be executed (`ETXTBSY`).
pub fn executable(path: &Path, script: &str) {
    let mut write = Command::new("sh");
    write.args(["-c", r#"printf %s "$1" >"$2" && chmod 755 "$2""#, "sh", script]).arg(path);
    assert!(write.status().unwrap().success());
}

pub fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
