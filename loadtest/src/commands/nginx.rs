use std::{io::Write, process::ExitCode};

use loadtest::lab::servers::{self, nginx};
use tokio::task::spawn_blocking;
use v1_naive::shop::stop_signal;

use crate::cli::Nginx;

/// Says where it listens as a shop does, so that it can be started as one.
pub(crate) async fn nginx(args: Nginx) -> anyhow::Result<ExitCode> {
    let stop = stop_signal()?;
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    let start = move || nginx::Nginx::start(args.listen, &args.instances, args.as_lab);
    let nginx = spawn_blocking(start).await??;
    let at = nginx.url().as_str().trim_end_matches('/');
    writeln!(std::io::stdout(), "listening on {at}")?;
    stop.await;
    spawn_blocking(|| drop(nginx)).await?;
    Ok(ExitCode::SUCCESS)
}
