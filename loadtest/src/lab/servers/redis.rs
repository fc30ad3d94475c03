//! Redis with its append-only file (AOF) in a folder.

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

/// The folder of the append-only file: a base file, and numbered files with the changes since then.
const LOG: &str = "appendonlydir";

/// The folder with `redis-server`.
pub(super) fn programs() -> Option<PathBuf> {
    folder_of("redis-server", [])
}

/// Starts a server that logs each change (`appendonly`) and flushes the log to disk once per second.
pub(super) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Process> {
    let (folder, password) = (folder.join("redis"), password());
    private_folder(&folder)?;
    Process::start("Redis", ask, &folder, |[port]| {
        let command = command(programs, &folder, &password, &[("port", &port.to_string())])?;
        Ok((command, url(&password, port)?))
    })
}

/// The URL of a server on this port.
pub(super) fn url(password: &str, port: u16) -> anyhow::Result<Url> {
    Ok(format!("redis://:{password}@127.0.0.1:{port}/").parse()?)
}

/// The command that starts a server with these further settings. The password is in a file, because every user can read arguments.
/// `noeviction`: Redis must refuse a write rather than evict the stock.
pub(super) fn command(
    programs: &Path,
    folder: &Path,
    password: &str,
    further: &[(&str, &str)],
) -> anyhow::Result<Command> {
    let settings = folder.join("redis.conf");
    let mut file = private_file(&settings)?;
    write!(
        file,
        "bind 127.0.0.1\n\
         requirepass {password}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory-policy noeviction\n\
         daemonize no\n"
    )?;
    for (name, value) in further {
        writeln!(file, "{name} {value}")?;
    }
    let mut command = Command::new(programs.join("redis-server"));
    command.arg(&settings).current_dir(folder); // the folder of its data
    Ok(command)
}

/// Deletes its data and keeps its settings.
pub(super) fn empty(folder: &Path) -> anyhow::Result<()> {
    Ok(fs::remove_dir_all(folder.join(LOG))?)
}

/// Cuts the last third off the newest file of changes. Redis then loads all complete commands before the cut
/// (`aof-load-truncated`, on by default).
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

/// Bytes of the append-only file, base and changes; 0 if there is none.
pub(super) fn bytes(folder: &Path) -> anyhow::Result<u64> {
    let files = match fs::read_dir(folder.join(LOG)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    files.map(|file| Ok(file?.metadata()?.len())).sum()
}

/// Redis answers with an error while it loads its log.
pub(super) fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    write!(stream, "AUTH {}\r\nPING\r\nQUIT\r\n", url.password().unwrap_or_default())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("+PONG"))
}
