use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use loadtest::provider::{self, Mutant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3001")]
    listen: SocketAddr,

    /// Its ledger, an SQLite file
    #[arg(long, value_name = "FILE", default_value = "provider.db")]
    ledger: PathBuf,

    /// What a shop has to know to be served [default: nothing]
    #[arg(long, env = "PROVIDER_SECRET", value_name = "SECRET", hide_env_values = true)]
    secret: Option<String>,

    /// A way to be wrong, for the audit to notice
    #[arg(long, value_name = "MUTANT", value_enum)]
    mutant: Option<Mutant>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    provider::serve(args.listen, &args.ledger, args.secret, args.mutant).await?;
    Ok(ExitCode::SUCCESS)
}
