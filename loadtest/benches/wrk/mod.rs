//! `wrk`, the load generator that ours is compared with.

use std::process::Command;

use anyhow::{Context, ensure};

/// Runs `script` on this many connections for three seconds. Returns requests per second.
pub(crate) fn wrk(threads: usize, connections: usize, script: &str, url: &str) -> anyhow::Result<f64> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, script)?;
    let output = Command::new("wrk")
        .args([&format!("-t{threads}"), "-d3", &format!("-c{connections}"), "-s"])
        .arg(file.path())
        .arg(url)
        .output()
        .context("wrk is not installed")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.context("wrk prints no rate")?.trim().parse()?)
}
