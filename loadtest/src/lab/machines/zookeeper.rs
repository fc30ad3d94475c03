//! ZooKeeper on each machine: Patroni keeps there who the primary is.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::Command,
};

use super::{
    MACHINES, Part, http,
    machine::Machine,
    network::{ip, name},
    programs::path_of,
};
use crate::lab::servers::Server;

/// The port for clients.
pub(super) const PORT: u16 = 2181;

/// Writes its settings. A session may last 20 ticks at most, so that a tick of 500 ms allows Patroni's ten seconds.
pub(super) fn prepare(machine: &Machine) -> anyhow::Result<()> {
    let folder = machine.folder_of(Part::ZooKeeper);
    let servers: String = (1..=MACHINES).map(|n| format!("server.{n}={}:2888:3888\n", ip(n))).collect();
    fs::create_dir_all(folder.join("data"))?;
    fs::write(folder.join("data/myid"), machine.number.to_string())?;
    fs::write(
        folder.join("zoo.cfg"),
        format!(
            "clientPortAddress={}\n\
             clientPort={PORT}\n\
             dataDir={}\n\
             tickTime=500\n\
             initLimit=20\n\
             syncLimit=4\n\
             maxClientCnxns=0\n\
             admin.enableServer=false\n\
             4lw.commands.whitelist=srvr\n\
             {servers}",
            machine.ip(),
            folder.join("data").display()
        ),
    )?;
    Ok(())
}

pub(super) fn command() -> anyhow::Result<Command> {
    let classes: PathBuf = Server::ZooKeeper.programs()?;
    let classes = ["zookeeper.jar", "slf4j-simple.jar"].map(|jar| classes.join(jar).display().to_string());
    let mut java = Command::new(path_of("java"));
    java.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", &classes.join(":")]);
    java.args(["org.apache.zookeeper.server.quorum.QuorumPeerMain", "zoo.cfg"]);
    Ok(java)
}

/// The server's role, if it belongs to a majority: `leader` or `follower`. An error or `None` otherwise.
pub(super) fn role(number: u8) -> anyhow::Result<Option<String>> {
    let mut stream = http::connect(ip(number), PORT)?;
    stream.write_all(b"srvr")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said.lines().find_map(|line| line.strip_prefix("Mode: ")).map(str::to_owned))
}

/// All servers as Patroni's settings name them.
pub(super) fn hosts() -> String {
    let hosts: Vec<String> = (1..=MACHINES).map(|number| format!("'{}:{PORT}'", name(number))).collect();
    hosts.join(", ")
}
