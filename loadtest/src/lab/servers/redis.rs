//! Redis: a store in memory with its log in a folder.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use url::Url;

use super::{
    process::{Process, connect, password, private_file, private_folder},
    programs::folder_of,
};

/// Where Redis keeps its log: a base, and the changes since then in numbered files.
const LOG: &str = "appendonlydir";

/// The folder with `redis-server`.
pub(super) fn programs() -> Option<PathBuf> {
    folder_of("redis-server", [])
}

/// A server that writes each change to a log (`appendonly`) and that log to the disk once a second.
pub(super) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Process> {
    let folder = folder.join("redis");
    private_folder(&folder)?;
    let password = password();
    // In a file, because arguments can be read by everybody. noeviction: better no answer than a stock that is gone.
    let settings = folder.join("redis.conf");
    write!(
        private_file(&settings)?,
        "bind 127.0.0.1\n\
         requirepass {password}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory-policy noeviction\n\
         daemonize no\n"
    )?;
    Process::start("Redis", ask, &folder, |[port]| {
        let mut command = Command::new(programs.join("redis-server"));
        command.arg(&settings).args(["--port", &port.to_string()]).current_dir(&folder); // where it keeps its data
        Ok((command, format!("redis://:{password}@127.0.0.1:{port}/").parse()?))
    })
}

/// Removes what it has written. What is left is its settings.
pub(super) fn empty(folder: &Path) -> anyhow::Result<()> {
    Ok(fs::remove_dir_all(folder.join(LOG))?)
}

/// Cuts the last third of the newest file of changes off. Redis starts with what is whole before the cut
/// (`aof-load-truncated`, as it comes).
pub(super) fn cut(folder: &Path) -> anyhow::Result<()> {
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(".incr.aof")?;
        name.rsplit_once('.')?.1.parse::<u64>().ok()
    };
    let files = fs::read_dir(folder.join(LOG))?.flatten().map(|entry| entry.path());
    let newest = files.filter_map(|path| Some((number(&path)?, path))).max();
    let (_, newest) = newest.context("Redis has no log of changes")?;
    let bytes = fs::metadata(&newest)?.len();
    ensure!(bytes > 0, "Redis has written nothing that could be cut off");
    Ok(OpenOptions::new().write(true).open(newest)?.set_len(bytes - (bytes / 3).max(1))?)
}

/// Bytes of its log, base and changes; 0 if it has none.
pub(super) fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let files = match fs::read_dir(folder.join(LOG)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    files.map(|file| Ok(file?.metadata()?.len())).sum()
}

/// While it reads its log it answers with an error.
fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    write!(stream, "AUTH {}\r\nPING\r\nQUIT\r\n", url.password().unwrap_or_default())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("+PONG"))
}
