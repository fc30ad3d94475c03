//! The machine and the commit of a run.

use std::{fs, process::Command};

use serde::{Deserialize, Serialize};

/// The machine of a run. Load generator, shops and database share it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's model.
    pub model: String,
    /// The processors that this process may use.
    pub cores: usize,
    /// Main memory in GiB.
    pub memory_gib: u64,
    /// The operating system's kernel and the architecture.
    pub system: String,
}

impl Machine {
    /// Describes this machine.
    pub fn this() -> Machine {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: u64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
        let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            model: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib + (1 << 19)) >> 20,
            system: format!("{} {} {}", std::env::consts::OS, version.trim(), std::env::consts::ARCH),
        }
    }
}

/// The checked-out commit, with `-dirty` if the working tree differs; `None` outside a checkout. Recorded figures do not count as
/// a difference: otherwise only the first of several runs would name a clean commit.
pub fn commit() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude,top)docs/results"])?;
    Some(if changed.is_empty() { commit } else { commit + "-dirty" })
}
