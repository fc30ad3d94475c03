//! ZooKeeper, a single node with its data in a folder.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use url::Url;

use super::{
    process::{Process, connect, private_file, private_folder},
    programs::folder_of,
};

/// The folder of its classes, if there is also a Java.
pub(super) fn programs() -> Option<PathBuf> {
    java().and(folder_of("zookeeper.jar", [PathBuf::from("/usr/share/java")]))
}

fn java() -> Option<PathBuf> {
    Some(folder_of("java", [PathBuf::from("/usr/lib/jvm/default-java/bin")])?.join("java"))
}

/// Starts a node that flushes each change to disk before it answers, as by default. A client may ask for a session timeout of one to
/// ten seconds. The node has no password: any program on this machine may use it.
pub(super) fn start(classes: &Path, servers: &Path) -> anyhow::Result<Process> {
    let folder = servers.join("zookeeper");
    private_folder(&folder)?;
    let java = java().context("Java is not installed")?;
    // The first one names the other classes that it needs. The second one writes its log to standard error.
    let classes = ["zookeeper.jar", "slf4j-simple.jar"].map(|jar| classes.join(jar).display().to_string());
    Process::start("ZooKeeper", ask, &folder, |[port]| {
        let settings = folder.join("zoo.cfg");
        // A session timeout is 2 to 20 ticks of 500 ms. By default, 60 clients may come from one address.
        write!(
            private_file(&settings)?,
            "clientPortAddress=127.0.0.1\n\
             clientPort={port}\n\
             dataDir={}\n\
             tickTime=500\n\
             maxClientCnxns=0\n\
             admin.enableServer=false\n",
            folder.join("data").display()
        )?;
        let mut command = Command::new(&java);
        command.current_dir(&folder).args(["-Xmx128m", "-XX:+UseSerialGC", "-cp", &classes.join(":")]);
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(settings);
        Ok((command, format!("zookeeper://127.0.0.1:{port}/").parse()?))
    })
}

/// Asks for a session and ends it. A node that still reads its data closes the connection.
fn ask(url: &Url) -> io::Result<bool> {
    // Lengths and numbers are big-endian. A session request: version 0, no change seen, 1000 ms, session 0 (a new one), no
    // password, not read-only. The answer has a length, the version, the timeout and the session.
    let mut request = [0; 33];
    request[3] = 29;
    request[16..20].copy_from_slice(&1000_u32.to_be_bytes());
    let mut stream = connect(url)?;
    stream.write_all(&request)?;
    let mut answer = [0; 20];
    stream.read_exact(&mut answer)?;
    stream.write_all(&[0, 0, 0, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5])?; // request 1: close (-11)
    Ok(answer[12..] != [0; 8])
}
