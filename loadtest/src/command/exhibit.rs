use std::process::ExitCode;

use loadtest::{lab::servers, museum};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop when standard input is closed
    #[arg(long)]
    while_stdin_is_open: bool,

    /// The exhibit, followed by chapter 5's arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    shop_args: Vec<String>,
}

/// Serves an exhibit as a shop.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    Ok(museum::shop::serve(&args.shop_args).await)
}
