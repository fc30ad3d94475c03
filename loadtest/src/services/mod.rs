//! Private servers for a run: started from the binaries on this machine, gone when the run is gone.
//!
//! They belong to a keeper, a process of its own that holds the other end of a pipe. Whatever ends this process, an
//! error, Ctrl-C, a panic or a kill, closes the pipe, and the keeper stops the servers and removes their folder.

/// The keeper's side of the pipe.
pub mod keeper;
/// A PostgreSQL server in a folder.
mod postgres;

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use url::Url;

/// Servers that run as long as this value lives.
pub struct Services {
    /// A superuser's URL; the server listens on loopback only.
    pub postgres: Url,
    keeper: Child,
}

/// What the keeper says once, on its standard output.
#[derive(Serialize, Deserialize)]
enum Report {
    /// All servers answer.
    Up { postgres: Url },
    /// They do not; why, in a line.
    Failed(String),
}

impl Services {
    /// Starts the servers; `loadtest` is the program to run as their keeper. Takes a few seconds.
    ///
    /// # Errors
    /// A server is not installed or does not start.
    pub fn start(loadtest: &Path) -> anyhow::Result<Services> {
        let mut keeper = Command::new(loadtest)
            .arg("keeper")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0) // Ctrl-C is for us; the keeper goes when we are gone.
            .spawn()
            .with_context(|| format!("cannot start {}", loadtest.display()))?;
        let mut line = String::new();
        let said = keeper.stdout.take().map(|out| BufReader::new(out).read_line(&mut line));
        said.context("the keeper of the servers has no output")??;
        match serde_json::from_str(&line) {
            Ok(Report::Up { postgres }) => Ok(Services { postgres, keeper }),
            Ok(Report::Failed(why)) => {
                keeper.wait()?;
                bail!(why)
            }
            Err(_) => bail!("the keeper of the servers ended without a word"),
        }
    }
}

impl Drop for Services {
    /// Closes the pipe and waits until the servers are stopped and their folder is removed.
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Whether PostgreSQL is installed here.
pub fn postgres_is_installed() -> bool {
    postgres::programs().is_ok()
}

/// Ends this process by SIGTERM, as an operator would, once its standard input is closed: the parent is gone.
pub fn stop_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM);
    });
}

/// Finds the folder that holds `program`: on the PATH or in one of `folders`, where the last in order wins.
fn folder_of(program: &str, folders: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut known: Vec<_> = folders.into_iter().collect();
    known.sort();
    known.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| folder.join(program).is_file())
}
