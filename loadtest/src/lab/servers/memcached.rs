//! memcached. It keeps everything in memory, so a killed one comes back empty.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use url::Url;

use super::{
    owner::unprivileged,
    process::{Process, connect, private_folder},
    programs::folder_of,
};

/// The folder with `memcached`.
pub(super) fn programs() -> Option<PathBuf> {
    folder_of("memcached", [])
}

/// Starts a server without UDP. It has no password: any program on this machine may use it.
pub(super) fn start(programs: &Path, servers: &Path) -> anyhow::Result<Process> {
    let folder = servers.join("memcached"); // for its log
    private_folder(&folder)?;
    let owner = unprivileged("memcache")?; // memcached refuses to run as root.
    Process::start("memcached", ask, &folder, |[port]| {
        let mut command = Command::new(programs.join("memcached"));
        if let Some(user) = &owner {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.args(["--listen=127.0.0.1", "--udp-port=0", &format!("--port={port}")]);
        Ok((command, format!("memcached://127.0.0.1:{port}/").parse()?))
    })
}

fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    stream.write_all(b"version\r\n")?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    Ok(answer == *b"VERSION ")
}
