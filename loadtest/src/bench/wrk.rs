//! `wrk`, the load generator that ours is compared with.

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::buyer::{client::home, crowd::Buyer, sessions};

/// Whether `wrk` is installed.
pub fn is_installed() -> bool {
    std::process::Command::new("wrk").arg("--version").output().is_ok()
}

/// Runs the Lua `script` on this many connections. Returns requests per second.
///
/// # Errors
/// `wrk` is not installed, or fails.
pub async fn wrk(threads: usize, connections: usize, seconds: u64, script: &str, url: &str) -> anyhow::Result<f64> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, script)?;
    let output = Command::new("wrk")
        .args([&format!("-t{threads}"), &format!("-d{seconds}"), &format!("-c{connections}"), "-s"])
        .arg(file.path())
        .arg(url)
        .kill_on_drop(true)
        .output()
        .await
        .context("wrk is not installed: install the package wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.context("wrk prints no rate")?.trim().parse()?)
}

/// The request of a buyer as a script for [`wrk`], with the headers that our generator sends.
///
/// # Errors
/// The buyer has no session.
pub(super) fn script(buyer: &Buyer) -> anyhow::Result<String> {
    let Buyer { id, link, .. } = buyer;
    let session = sessions::of(*id).context("the buyer has no session")?;
    let headers = [
        ("x-buyer-id", id.to_string()),
        ("x-forwarded-for", home(*id).to_string()),
        ("cookie", session.to_str()?.to_owned()),
        ("content-length", "0".to_owned()),
    ];
    let headers: String = headers.iter().map(|(name, value)| format!("wrk.headers['{name}'] = '{value}'\n")).collect();
    Ok(format!("wrk.method = '{}'\nwrk.path = '{}'\n{headers}", link.method, link.uri))
}
