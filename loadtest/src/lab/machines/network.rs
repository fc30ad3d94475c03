//! A bridge that joins the machines, and the cable from each machine to it.

use std::{
    fs,
    io::Write,
    net::Ipv4Addr,
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use nix::mount::{MsFlags, mount};

use super::{CLIENTS, programs::path_of};

/// The bridge's name, in the load test's own namespace.
const BRIDGE: &str = "machines";
/// The load test's own address.
pub(super) const LOAD_TEST: Ipv4Addr = ip(254);

/// A machine's address.
pub(super) const fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, number)
}

/// A machine's name, which its cable has too.
pub(super) fn name(number: u8) -> String {
    format!("m{number}")
}

/// Makes the bridge, and lets everybody inside know the machines by name. Files under `/run` vanish with the namespace.
pub(super) fn lay() -> anyhow::Result<()> {
    ip_commands(&format!(
        "link set lo up\n\
         link add {BRIDGE} type bridge\n\
         addr add {LOAD_TEST}/24 dev {BRIDGE}\n\
         link set {BRIDGE} up\n"
    ))?;
    let none = None::<&str>;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none).context("cannot mount /run")?;
    let names: String = (1..=CLIENTS).map(|number| format!("{} {}\n", ip(number), name(number))).collect();
    fs::write("/run/hosts", format!("127.0.0.1 localhost\n{names}"))?;
    mount(Some("/run/hosts"), "/etc/hosts", none, MsFlags::MS_BIND, none).context("cannot mount /etc/hosts")
}

/// Lays the cable to the machine whose first process is `init`. The hardware address is fixed, so that a machine that returns is
/// found at once.
pub(super) fn plug_in(number: u8, init: u32) -> anyhow::Result<()> {
    let name = name(number);
    ip_commands(&format!(
        "link add {name} type veth peer name eth0 address 02:00:0a:4d:00:{number:02x} netns {init}\n\
         link set {name} master {BRIDGE} up\n"
    ))
}

/// Gives the machine its address; runs inside the machine.
pub(super) fn take_address(number: u8) -> anyhow::Result<()> {
    ip_commands(&format!("link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\n", ip(number)))
}

/// Takes the cable's end at the bridge down, or up again. Nothing tells the machine or its peers.
pub(super) fn connect(number: u8, up: bool) -> anyhow::Result<()> {
    ip_commands(&format!("link set {} {}\n", name(number), if up { "up" } else { "down" }))
}

/// Removes the cable.
pub(super) fn unplug(number: u8) -> anyhow::Result<()> {
    ip_commands(&format!("link del {}\n", name(number)))
}

fn ip_commands(lines: &str) -> anyhow::Result<()> {
    let mut ip = Command::new(path_of("ip"));
    ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut ip = ip.spawn().context("cannot run ip")?;
    ip.stdin.take().context("ip has no input")?.write_all(lines.as_bytes())?;
    let done = ip.wait_with_output()?;
    ensure!(done.status.success(), "ip failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(())
}
