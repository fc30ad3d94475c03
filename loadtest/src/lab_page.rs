//! `cargo loadtest lab`: a page in the browser on which a reader watches a sale break, is the scheduler of the real database, and
//! kills servers in the middle of a sale.
//!
//! Read the modules in this order:
//!
//! 1. `server`: the routes and who may use them. `files`: the page's own files.
//! 2. `stampede`: the first tab. It plays the same runs as `cargo loadtest run`. `ask`: what the page may ask for. `rows`: orders while
//!    they come.
//! 3. `scheduler`: the second tab, on the wire of `explore`. `position`: which position is wanted.
//!    `scene`: what is shown of it. `code`: their source, line by
//!    line. `levels`: the tasks. `tree`: all interleavings, counted.
//! 4. `sandbox`: the third tab, chapter 6 and its servers.
//!
//! Each tab has one state, which every browser sees: a JSON value in a `watch` channel. A browser sends what it wants, and a tab's
//! `work` does one thing after the other. `labs` has the servers.

mod ask;
mod code;
mod files;
mod labs;
mod levels;
mod position;
mod rows;
mod sandbox;
mod scene;
mod scheduler;
mod server;
mod stampede;
mod tree;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{net::TcpListener, sync::watch, time::timeout};

use self::{labs::Labs, sandbox::Sandbox, scheduler::Scheduling, stampede::Stampedes};
use crate::lab::Backend;

/// How long a run goes on without a browser that watches it: longer than a reload of the page takes.
const UNWATCHED: Duration = Duration::from_secs(3);

/// The page's tabs and its servers.
pub struct Page {
    labs: Labs,
    stampedes: Stampedes,
    scheduling: Scheduling,
    sandbox: Sandbox,
    /// Browsers that are connected.
    watching: watch::Sender<usize>,
}

/// What a tab shows.
type Shown = watch::Sender<Value>;

impl Page {
    /// A page whose servers are started when a tab needs them. `program` is the `loadtest` program. Without a `backend`, shops use
    /// PostgreSQL if it is installed, otherwise SQLite. The figures of all runs are written to the file `json` after each run.
    pub fn new(program: PathBuf, backend: Option<Backend>, json: Option<PathBuf>) -> Arc<Page> {
        Arc::new(Page {
            labs: Labs::new(program, backend),
            stampedes: Stampedes::new(json),
            scheduling: Scheduling::default(),
            sandbox: Sandbox::default(),
            watching: watch::Sender::new(0),
        })
    }

    /// Serves the page and works for it, until it is dropped.
    ///
    /// # Errors
    /// The file of figures cannot be written.
    pub async fn serve(self: &Arc<Page>, listener: TcpListener) -> anyhow::Result<()> {
        let app = server::routes(self);
        tokio::select! {
            () = v1_naive::shop::serve(listener, app, std::future::pending()) => Ok(()),
            kept = Box::pin(self.stampedes.work(self)) => kept,
            () = Box::pin(self.scheduling.work(self)) => Ok(()),
            () = Box::pin(self.scheduling.count(self)) => Ok(()),
            () = Box::pin(self.sandbox.work(self)) => Ok(()),
        }
    }

    /// Stops all servers. Nothing may work for the page any more.
    pub async fn close(&self) {
        self.labs.close().await;
    }

    /// Waits until no browser has watched for some seconds.
    async fn unwatched(&self) {
        let mut watching = self.watching.subscribe();
        loop {
            if watching.wait_for(|browsers| *browsers == 0).await.is_err() {
                return;
            }
            let returns = timeout(UNWATCHED, watching.wait_for(|browsers| *browsers > 0)).await;
            if returns.is_err() {
                return;
            }
        }
    }
}
