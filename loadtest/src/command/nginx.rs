use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use loadtest::lab::servers::{self, nginx};
use tokio::task::spawn_blocking;
use v1_naive::shop::{say, stop_signal};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,

    /// Trust `X-Forwarded-For` from every client on this machine, as from a load balancer
    #[arg(long)]
    as_lab: bool,

    /// Write a line for each request to this file
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,

    /// Stop when standard input is closed
    #[arg(long)]
    while_stdin_is_open: bool,

    /// The addresses of the instances
    #[arg(required = true)]
    instances: Vec<SocketAddr>,
}

/// Prints its address in the same form as a shop, so that it can be started like one.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stop = stop_signal()?;
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    let start =
        move || nginx::Nginx::start_with_log(args.listen, &args.instances, args.as_lab, args.access_log.as_deref());
    let nginx = spawn_blocking(start).await??;
    let at = nginx.url().as_str().trim_end_matches('/');
    say(format_args!("listening on {at}"));
    stop.await;
    spawn_blocking(|| drop(nginx)).await?;
    Ok(ExitCode::SUCCESS)
}
