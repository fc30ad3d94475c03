//! The payment provider: this program in another role.

use std::{
    env,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::Command,
};

use url::Url;

use super::process::{Process, connect, password, private_folder};

/// The folder of this program.
pub(super) fn programs() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.to_owned())
}

/// Starts this program as a payment provider, with its ledger in `folder`.
pub(super) fn start(folder: &Path) -> anyhow::Result<Process> {
    let (folder, program, secret) = (folder.join("provider"), env::current_exe()?, password());
    private_folder(&folder)?;
    Process::start("the payment provider", ask, &folder, |[port]| {
        let mut command = Command::new(&program);
        command.args(["provider", "--listen", &format!("127.0.0.1:{port}"), "--ledger"]).arg(folder.join("ledger.db"));
        command.env("PROVIDER_SECRET", &secret); // every user can read arguments
        Ok((command, format!("http://shop:{secret}@127.0.0.1:{port}/").parse()?))
    })
}

/// The provider is ready when it answers 401 to a request without the secret.
fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    stream.write_all(b"GET /ledger HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.0 401"))
}
