//! The first process of a machine. When it ends, the system kills all other processes of the machine.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// How long the other machines may take to end until their files can be removed.
const TO_END: Duration = Duration::from_secs(10);

/// Runs until standard input closes, which means that the load test has ended. Then removes the folder, if there is one: the load
/// test may have been killed.
///
/// It waits for every process whose parent has ended. Patroni takes a PostgreSQL that nobody has waited for as running, and would
/// not restart it.
///
/// # Errors
/// It is not the first process of a machine.
pub async fn run(remove: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
    let mut ended = signal(SignalKind::child())?;
    let (closed, mut is_closed) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });
    writeln!(io::stdout(), "up")?;
    loop {
        tokio::select! {
            _ = ended.recv() => while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|one| one != WaitStatus::StillAlive) {},
            _ = &mut is_closed => break,
        }
    }
    kill(Pid::from_raw(-1), Signal::SIGKILL).ok(); // all others of this machine
    let deadline = Instant::now() + TO_END;
    while let Some(folder) = &remove
        && folder.exists()
        && std::fs::remove_dir_all(folder).is_err() // a machine that ends may still write
        && Instant::now() < deadline
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(ExitCode::SUCCESS)
}
