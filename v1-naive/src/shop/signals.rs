//! The signals that ask a program to stop.

use std::{fs, future::poll_fn, io, task::Poll};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ctrl-C (SIGINT), SIGTERM, and SIGHUP, which the system sends when the terminal is closed.
pub struct StopSignals(Vec<(SignalKind, Signal)>);

impl StopSignals {
    /// Listens. After this call, none of them ends the process. If the process was started with `nohup`, SIGHUP stays ignored.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn listen() -> io::Result<StopSignals> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let kinds = kinds.into_iter().filter(|kind| *kind != SignalKind::hangup() || !is_ignored(*kind));
        kinds.map(|kind| Ok((kind, signal(kind)?))).collect::<io::Result<_>>().map(StopSignals)
    }

    /// Waits for the next one and returns its number.
    pub async fn next(&mut self) -> i32 {
        poll_fn(|context| {
            let came =
                self.0.iter_mut().find_map(|(kind, signal)| signal.poll_recv(context).is_ready().then_some(*kind));
            came.map_or(Poll::Pending, |kind| Poll::Ready(kind.as_raw_value()))
        })
        .await
    }
}

/// A future that is ready at the first of the [`StopSignals`]. After this call, none of them ends the process.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = StopSignals::listen()?;
    Ok(async move {
        signals.next().await;
    })
}

/// Whether the parent process has told this one to ignore the signal. False on a system without `/proc`.
fn is_ignored(kind: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}
