use std::process::ExitCode;

use loadtest::{lab::servers, mutant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Stop when standard input is closed
    #[arg(long)]
    while_stdin_is_open: bool,

    /// The mutant, followed by chapter 5's arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    shop_args: Vec<String>,
}

/// Serves a mutant as a shop.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    Ok(mutant::shop::serve(&args.shop_args).await)
}
