//! MariaDB with its data in a folder. No shop uses it: tests show on it what InnoDB does where PostgreSQL does something else.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use url::Url;

use super::{
    owner::{give, hand_over, unprivileged},
    process::{Process, connect, password, private_file, private_folder},
    programs::folder_of,
};

/// The folder with `mariadbd`. On Debian it is only on root's `PATH`.
pub(super) fn programs() -> Option<PathBuf> {
    folder_of("mariadbd", ["/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from))
}

/// Starts a server with one user, who has all privileges, and the default durability. It reads none of the machine's settings.
pub(super) fn start(programs: &Path, servers: &Path) -> anyhow::Result<Process> {
    let folder = servers.join("mariadb");
    private_folder(&folder)?;
    // MariaDB refuses to run as root.
    let owner = unprivileged("mysql")?;
    if let Some(user) = &owner {
        hand_over(&folder, user)?;
    }
    let data = format!("--datadir={}", folder.join("data").display());
    let temporary = format!("--tmpdir={}", folder.display()); // another user may not write to ours
    let program = |path: &Path| {
        let mut command = Command::new(path);
        if let Some(user) = &owner {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command.current_dir(&folder).env("LC_ALL", "C").stdin(Stdio::null());
        command.args(["--no-defaults", &data, &temporary, "--skip-name-resolve"]);
        command
    };

    let install = folder_of("mariadb-install-db", [programs.to_owned()]).context("mariadb-install-db is missing")?;
    let made = program(&install.join("mariadb-install-db"))
        .args(["--auth-root-authentication-method=socket", "--skip-test-db"]) // no user without a password
        .output()?;
    ensure!(made.status.success(), "mariadb-install-db failed: {}", String::from_utf8_lossy(&made.stderr).trim());

    // The password is in a file, because every user can read arguments. The server runs this file at each start.
    let (password, users) = (password(), folder.join("users.sql"));
    write!(
        private_file(&users)?,
        "create user if not exists oversold@127.0.0.1 identified by '{password}';\n\
         grant all on *.* to oversold@127.0.0.1;\n"
    )?;
    if let Some(user) = &owner {
        give(&users, user)?;
    }

    Process::start("MariaDB", ask, &folder, |[port]| {
        let mut server = program(&programs.join("mariadbd"));
        server.args(["--bind-address=127.0.0.1", &format!("--port={port}"), "--socket=", "--max-connections=400"]);
        server.arg(format!("--init-file={}", users.display()));
        Ok((server, format!("mysql://oversold:{password}@127.0.0.1:{port}/").parse()?))
    })
}

/// The server speaks first. Its greeting begins with the length of the packet, the packet's number 0, and version 10 of the
/// protocol. An error has 255 in place of the 10.
fn ask(url: &Url) -> io::Result<bool> {
    let mut greeting = [0; 5];
    connect(url)?.read_exact(&mut greeting)?;
    Ok(greeting[3..] == [0, 10])
}
