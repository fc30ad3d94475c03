//! A second selling process: this program again, which talks to its parent in lines of JSON.

use std::{
    collections::HashMap,
    io::{Write, stdin, stdout},
    path::Path,
    process::Stdio,
    sync::Arc,
    thread,
};

use anyhow::{Context, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    sync::{Semaphore, mpsc},
};
use url::Url;

use super::{
    load::{Clients, Load, Told},
    named,
    way::{Gap, Kit, Sold, Stock},
};
use crate::lab::servers::Server;

/// What a worker has to do: the first line that it reads.
#[derive(Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) way: String,
    pub(super) urls: HashMap<Server, Url>,
    pub(super) stock: Stock,
    pub(super) process: i64,
    pub(super) processes: i64,
    pub(super) load: Load,
    /// Whether it stops in the gap between check and act and waits for a line.
    pub(super) stops_in_gap: bool,
}

/// A line that a worker writes.
#[derive(Serialize, Deserialize)]
pub(super) enum Said {
    /// All clients are connected. The load starts with the next line that it reads.
    Ready,
    /// A client is in the gap. It continues with the next line that the worker reads.
    InGap,
    /// The load is over. The worker keeps its memory until its standard input closes.
    Done { told: Told, sold: Sold },
    /// The worker failed; the reason in one line.
    Failed(String),
}

/// Works as a worker: reads its part, sells, and ends when standard input closes.
///
/// # Errors
/// The parent sends no part, or does not read.
pub async fn run() -> anyhow::Result<()> {
    let (heard, mut lines) = mpsc::unbounded_channel();
    thread::spawn(move || stdin().lines().map_while(Result::ok).try_for_each(|line| heard.send(line)));
    let part = serde_json::from_str(&lines.recv().await.context("there is no part")?)?;
    let said = sell(part, &mut lines).await.unwrap_or_else(|why| Said::Failed(format!("{why:#}")));
    say(&said)?;
    while lines.recv().await.is_some() {}
    Ok(())
}

async fn sell(part: Part, lines: &mut mpsc::UnboundedReceiver<String>) -> anyhow::Result<Said> {
    let (reached, mut reaches) = mpsc::channel(1);
    let closed = Arc::new(Semaphore::new(0));
    let gate = closed.clone();
    let gap = Gap::stop(move || {
        let (reached, gate) = (reached.clone(), gate.clone());
        Box::pin(async move {
            let _ = reached.send(()).await;
            let _ = gate.acquire().await; // an error once it is open
        })
    });
    let Part { way, urls, stock, process, processes, load, stops_in_gap } = part;
    let gap = if stops_in_gap { gap } else { Gap::default() };
    let entry = named(&way).context("there is no such way")?;
    let way = entry.open(&Kit { urls, stock, process, processes, gap }).await?;
    let mut clients = Clients::of(way.clone(), stock);
    clients.connect(load.clients).await?;
    say(&Said::Ready)?;
    lines.recv().await;

    let counts = Arc::default();
    let mut play = std::pin::pin!(clients.play(load, &counts));
    let told = tokio::select! {
        told = &mut play => told?,
        Some(()) = reaches.recv() => {
            say(&Said::InGap)?;
            lines.recv().await;
            closed.close();
            play.await?
        }
    };
    Ok(Said::Done { told, sold: way.sold().await? })
}

fn say(said: &Said) -> anyhow::Result<()> {
    Ok(writeln!(stdout(), "{}", serde_json::to_string(said)?)?)
}

/// The parent's end of a worker. The worker is killed when this is dropped.
pub(super) struct Worker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Worker {
    /// Starts `loadtest way-worker` and waits until its clients are connected.
    pub(super) async fn start(loadtest: &Path, part: &Part) -> anyhow::Result<Worker> {
        let mut child = Command::new(loadtest)
            .arg("way-worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C must not reach it: it ends when its standard input closes.
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", loadtest.display()))?;
        let out = child.stdout.take().context("the worker has no output")?;
        let mut worker = Worker { child, lines: BufReader::new(out).lines() };
        worker.send(&serde_json::to_string(part)?).await?; // the part has passwords, and every user can read arguments
        match worker.next().await? {
            Said::Ready => Ok(worker),
            Said::InGap | Said::Done { .. } | Said::Failed(_) => bail!("the worker sells before it is ready"),
        }
    }

    /// Lets it start its load, or leave the gap.
    pub(super) async fn go(&mut self) -> anyhow::Result<()> {
        self.send("go").await
    }

    /// What it says next.
    pub(super) async fn next(&mut self) -> anyhow::Result<Said> {
        let line = self.lines.next_line().await?.context("a worker has ended")?;
        match serde_json::from_str(&line)? {
            Said::Failed(why) => bail!(why),
            said @ (Said::Ready | Said::InGap | Said::Done { .. }) => Ok(said),
        }
    }

    /// Waits until its load is over.
    pub(super) async fn done(&mut self) -> anyhow::Result<(Told, Sold)> {
        match self.next().await? {
            Said::Done { told, sold } => Ok((told, sold)),
            Said::Ready | Said::InGap | Said::Failed(_) => bail!("the worker has more to do"),
        }
    }

    /// Sends it a signal: SIGSTOP pauses it, SIGCONT lets it continue.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.child.id().context("the worker has ended")?;
        Ok(kill(Pid::from_raw(pid.cast_signed()), signal)?)
    }

    /// Kills it (SIGKILL).
    pub(super) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    async fn send(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().context("the worker takes no lines")?;
        Ok(stdin.write_all(format!("{line}\n").as_bytes()).await?)
    }
}
