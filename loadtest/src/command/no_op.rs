use std::{net::SocketAddr, process::ExitCode};

use loadtest::{bench::no_op, lab::servers};
use v1_naive::shop::stop_signal;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Serve without axum
    #[arg(long)]
    bare: bool,

    /// Stop when standard input is closed
    #[arg(long)]
    while_stdin_is_open: bool,

    /// Address to listen on
    #[arg(long)]
    listen: SocketAddr,
}

/// Serves the shop that does nothing.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    let stop = stop_signal()?;
    match args.bare {
        true => no_op::serve_bare(args.listen, stop).await?,
        false => no_op::serve(args.listen, stop).await?,
    }
    Ok(ExitCode::SUCCESS)
}
