//! nginx, the reverse proxy in front of chapter 6.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use tempfile::TempDir;
use url::Url;

use super::{
    owner::{hand_over, unprivileged},
    process::{Process, connect, private_folder},
    programs::folder_of,
};
use crate::lab::shop_process::{ShopProcess, Start};

/// The nginx configuration that chapter 6 is deployed with.
const SETTINGS: &str = include_str!("../../../../v6-production/deploy/nginx.conf");
/// Additions for the load test. It acts as a load balancer in front of nginx and sends the buyers' IP addresses. It also reads
/// the number of requests that nginx has received.
const OF_THE_LAB: &str =
    "set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For; location = /edge { stub_status; }";

/// nginx in front of instances of chapter 6, with that chapter's settings. It is stopped when dropped.
pub struct Nginx {
    process: Process,
    _folder: TempDir,
}

/// Whether nginx is installed on this machine.
pub fn is_installed() -> bool {
    program().is_some()
}

fn program() -> Option<PathBuf> {
    // Debian installs it in a folder that is only on root's `PATH`.
    folder_of("nginx", ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from))
}

impl Nginx {
    /// Starts nginx and waits until it answers. With `as_lab`, clients on this machine may send
    /// `X-Forwarded-For`, as a load balancer does. Blocks.
    ///
    /// # Errors
    /// nginx is not installed or does not start, the address is taken, or `instances` is empty.
    pub fn start(listen: SocketAddr, instances: &[SocketAddr], as_lab: bool) -> anyhow::Result<Nginx> {
        Nginx::start_with_log(listen, instances, as_lab, None)
    }

    /// As [`Nginx::start`]; `access_log` gets a line for each request. nginx must be allowed to create that file.
    ///
    /// # Errors
    /// As for [`Nginx::start`].
    pub fn start_with_log(
        listen: SocketAddr,
        instances: &[SocketAddr],
        as_lab: bool,
        access_log: Option<&Path>,
    ) -> anyhow::Result<Nginx> {
        let programs = program().context("nginx is not installed; `make services` installs it")?;
        let above = tempfile::Builder::new().prefix("oversold-nginx-").tempdir()?;
        let folder = above.path().join("nginx");
        private_folder(&folder)?;
        let owner = unprivileged("www-data")?;
        let shops: String =
            instances.iter().map(|shop| format!("server {shop} max_fails=1 fail_timeout=1s;\n")).collect();
        let launch = |port| {
            let listen = SocketAddr::new(listen.ip(), port);
            let log = access_log.map(|log| format!("access_log {} edge;\n", log.display())).unwrap_or_default();
            let site = format!("listen {listen};\n{}\n{log}", if as_lab { OF_THE_LAB } else { "" });
            for (name, text) in [("nginx.conf", SETTINGS), ("instances.conf", &shops), ("site.conf", &site)] {
                fs::write(folder.join(name), text)?;
            }
            let mut command = Command::new(programs.join("nginx"));
            command.arg("-p").arg(&folder).args(["-e", "stderr", "-c", "nginx.conf"]);
            if let Some(user) = &owner {
                hand_over(&folder, user)?;
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            let ip = if listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listen.ip() };
            Ok((command, Url::parse(&format!("http://{}/", SocketAddr::new(ip, port)))?))
        };
        let process = match listen.port() {
            0 => Process::start("nginx", ask, &folder, |[port]| launch(port)),
            port => Process::start("nginx", ask, &folder, |[]| launch(port)),
        }?;
        Ok(Nginx { process, _folder: above })
    }

    /// The address that buyers connect to.
    pub fn url(&self) -> &Url {
        &self.process.url
    }
}

/// Starts nginx for the lab on its own port, in front of `instances`. It runs as a child process like a shop, and stops when this
/// process ends. Its log goes to `log`.
///
/// # Errors
/// nginx is not installed, or does not start.
pub async fn in_front_of(loadtest: &Path, instances: &[SocketAddr], log: PathBuf) -> anyhow::Result<ShopProcess> {
    in_front_of_with_log(loadtest, instances, log, None).await
}

/// As [`in_front_of`]; `access_log` gets a line for each request. nginx must be allowed to create that file.
///
/// # Errors
/// As for [`in_front_of`].
pub async fn in_front_of_with_log(
    loadtest: &Path,
    instances: &[SocketAddr],
    log: PathBuf,
    access_log: Option<&Path>,
) -> anyhow::Result<ShopProcess> {
    let nginx = ["nginx", "--while-stdin-is-open", "--as-lab"].map(str::to_owned);
    let access_log = access_log.map(|log| format!("--access-log={}", log.display()));
    let args = nginx.into_iter().chain(access_log).chain(instances.iter().map(SocketAddr::to_string)).collect();
    ShopProcess::run(Start::new(loadtest, "nginx", args, log).and_let_it_end_itself()).await
}

/// nginx answers `/healthz` itself with 404 and does not pass it to a shop.
fn ask(url: &Url) -> io::Result<bool> {
    let mut stream = connect(url)?;
    write!(stream, "GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.contains("404"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::servers::port::tests::{choose, taken};

    #[test]
    #[ignore = "needs nginx: make test"]
    fn nginx_starts_elsewhere_if_its_port_is_taken_meanwhile() {
        let (port, stranger) = taken();
        choose([port]);
        let stranger = stranger.local_addr().unwrap();
        let nginx = Nginx::start(([127, 0, 0, 1], 0).into(), &[stranger], false).unwrap();
        assert_ne!(nginx.url().port(), Some(stranger.port()));
    }
}
