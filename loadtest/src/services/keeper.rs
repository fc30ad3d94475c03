use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{Report, postgres::Postgres};

/// Starts the servers, says where they are, and stops them when standard input is closed or a signal says so.
///
/// # Errors
/// No signal handler can be installed, or nobody listens.
pub async fn run() -> anyhow::Result<ExitCode> {
    // From here on no signal ends the keeper before its servers.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let (closed, parent_is_gone) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = closed.send(());
    });

    let (report, _server) = match tokio::task::spawn_blocking(Postgres::start).await? {
        Ok(server) => (Report::Up { postgres: server.url() }, Some(server)),
        Err(error) => (Report::Failed(format!("{error:#}")), None),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string(&report)?)?;
    if matches!(report, Report::Up { .. }) {
        tokio::select! {
            _ = parent_is_gone => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
    Ok(ExitCode::SUCCESS) // and the servers go with their value
}
