//! `cargo loadtest lab` as a child process, and requests to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::browser::Browser;

/// A running lab. It is ended with Ctrl-C when dropped.
pub struct LabPage {
    pub address: SocketAddr,
    child: Child,
}

impl LabPage {
    /// Starts it on a free port.
    pub fn start(args: &[&str]) -> LabPage {
        LabPage::of(Command::new(super::loadtest()).args(["lab", "--port", "0"]).args(args))
    }

    /// Starts it with this command.
    pub fn of(command: &mut Command) -> LabPage {
        let mut child = command.env_remove("DATABASE_URL").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split(' ').next()).expect("its address");
        LabPage { address: address.parse().unwrap(), child }
    }

    pub fn url(&self, fragment: &str) -> String {
        format!("http://{}/{fragment}", self.address)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request; returns the status and the body.
    pub fn send(&self, method: &str, path: &str, more: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let (host, length) = (self.address, body.len());
        let host = if more.to_lowercase().contains("host:") { String::new() } else { format!("host: {host}\r\n") };
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n{more}\r\n");
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        self.send("POST", path, "content-type: application/json\r\n", body)
    }

    /// The runs so far, as the page lets them be downloaded.
    pub fn runs(&self) -> Vec<Value> {
        let record: Value = serde_json::from_str(&self.send("GET", "/runs.json", "", "").1).unwrap();
        record["runs"].as_array().unwrap().clone()
    }

    /// A browser's connection for events: the page is watched as long as it is open.
    pub fn watch(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nhost: {}\r\n\r\n", self.address).unwrap();
        let mut first = [0; 64];
        stream.read_exact(&mut first).unwrap();
        assert!(first.starts_with(b"HTTP/1.1 200"));
        stream
    }

    /// Sends Ctrl-C, and waits for its end.
    pub fn interrupt(mut self) -> ExitStatus {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for LabPage {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT);
            let _ = self.child.wait();
        }
    }
}

/// Waits until an element of the page is there and shows this; returns all that it shows.
pub async fn shows(browser: &Browser, css: &str, part: &str) -> String {
    let script = format!("return document.querySelector(\"{css}\")?.innerText ?? ''");
    let deadline = Instant::now() + Duration::from_secs(180); // servers start, and the machine may be busy
    loop {
        let shown = browser.script(&script).await.as_str().unwrap_or_default().to_owned();
        if shown.contains(part) {
            return shown;
        }
        assert!(Instant::now() < deadline, "{css} never shows {part:?}, but {shown:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The processes that descend from `pid` and run this program, without those that one of them has started itself.
pub fn descendants(pid: u32, program: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(") ")?;
        let (own, name) = head.split_once(" (")?;
        Some((own.parse::<i32>().ok()?, name.to_owned(), tail.split(' ').nth(1)?.parse::<i32>().ok()?))
    });
    let processes: Vec<_> = processes.collect();
    let parent = |of: i32| processes.iter().find(|one| one.0 == of).map(|one| one.2);
    let is_below = |one: i32| {
        let mut up = parent(one);
        while let Some(of) = up {
            if of == pid as i32 {
                return true;
            }
            up = parent(of).filter(|next| *next != of && *next > 0);
        }
        false
    };
    let runs_it = |of: i32| processes.iter().any(|one| one.0 == of && one.1 == program);
    let found =
        processes.iter().filter(|one| one.1 == program && is_below(one.0) && !(runs_it(one.2) && one.2 != pid as i32));
    found.map(|one| one.0).collect()
}
