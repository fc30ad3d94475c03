use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use url::Url;

use super::{
    process::{Process, connect, free_port, password, private_file, private_folder},
    server::folder_of,
};

/// The folder with `redis-server`.
pub(super) fn programs() -> Option<PathBuf> {
    folder_of("redis-server", [])
}

/// A server that writes each change to a log (`appendonly`) and that log to the disk once a second.
pub(super) fn start(programs: &Path, folder: &Path) -> anyhow::Result<Process> {
    let folder = folder.join("redis");
    private_folder(&folder)?;
    let (port, password) = (free_port()?, password());
    // In a file, because arguments can be read by everybody. noeviction: better no answer than a stock that is gone.
    let settings = folder.join("redis.conf");
    write!(
        private_file(&settings)?,
        "bind 127.0.0.1\n\
         port {port}\n\
         requirepass {password}\n\
         appendonly yes\n\
         appendfsync everysec\n\
         save \"\"\n\
         maxmemory-policy noeviction\n\
         daemonize no\n"
    )?;
    let mut command = Command::new(programs.join("redis-server"));
    command.arg(settings).current_dir(&folder); // where it keeps its data
    let url = format!("redis://:{password}@127.0.0.1:{port}/").parse()?;
    Process::start("Redis", command, url, ask, &folder)
}

/// While it reads its log it answers with an error.
fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    write!(stream, "AUTH {}\r\nPING\r\nQUIT\r\n", url.password().unwrap_or_default())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("+PONG"))
}
