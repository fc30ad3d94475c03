use std::process::ExitCode;

use loadtest::{
    gates::{self, Gate},
    lab::servers,
    version::Version,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Gates to leave out
    #[arg(long, value_enum, value_delimiter = ',')]
    without: Vec<Gate>,

    /// Stop when standard input is closed
    #[arg(long)]
    while_stdin_is_open: bool,

    /// v4-ratelimit or v5-hidden-api
    version: Version,

    /// Arguments of the shop
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    shop_args: Vec<String>,
}

/// Serves a version without some of its gates.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    Ok(gates::serve(args.version, &args.without, &args.shop_args).await)
}
