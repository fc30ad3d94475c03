//! Restarts the command in namespaces of its own, where it may make networks although it is not root.

use std::{
    env,
    os::{fd::OwnedFd, unix::process::CommandExt},
    process::{self, Command, Stdio},
};

use anyhow::{bail, ensure};

use super::programs;

/// Holds the id of the process that runs inside. A restart keeps the id, so that children and other commands do not match.
const INSIDE: &str = "OVERSOLD_INSIDE";

/// Restarts this command in a user namespace with a network of its own, and with mounts that nobody else sees. Does nothing if the
/// command already runs there. The restart keeps the process: its id, its terminal and its files.
///
/// # Errors
/// A program is missing, or the system does not allow namespaces. The message is one line that says what to do.
pub fn enter() -> anyhow::Result<()> {
    enter_with(None)
}

/// As [`enter`], with another standard input for the command inside.
pub(super) fn enter_with(stdin: Option<OwnedFd>) -> anyhow::Result<()> {
    if is_inside() {
        return Ok(());
    }
    programs::check()?;
    let probe = unshare().args(["mount", "-t", "tmpfs", "tmpfs", "/run"]).stdin(Stdio::null()).output()?;
    ensure!(
        probe.status.success(),
        "--machines needs user namespaces, and this system does not allow them ({}). On Debian and Ubuntu: sysctl \
         kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0; in Docker: --privileged",
        String::from_utf8_lossy(&probe.stderr).trim()
    );
    let mut inside = unshare();
    if let Some(stdin) = stdin {
        inside.stdin(stdin);
    }
    inside.arg(env::current_exe()?).args(env::args_os().skip(1)).env(INSIDE, process::id().to_string());
    bail!("cannot run unshare: {}", inside.exec())
}

/// Whether this process already runs there.
pub(super) fn is_inside() -> bool {
    env::var(INSIDE).is_ok_and(|pid| pid == process::id().to_string())
}

/// The user is 1000 inside, because PostgreSQL refuses root. The capabilities are those over the new namespaces only.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--net", "--mount", "--map-user=1000", "--map-group=1000", "--keep-caps"]);
    command
}
