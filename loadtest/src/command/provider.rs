use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use loadtest::provider::{self, Mutant};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3001")]
    listen: SocketAddr,

    /// The ledger, a SQLite file
    #[arg(long, value_name = "FILE", default_value = "provider.db")]
    ledger: PathBuf,

    /// The secret that a shop must send [default: none]
    #[arg(long, env = "PROVIDER_SECRET", value_name = "SECRET", hide_env_values = true)]
    secret: Option<String>,

    /// A seeded bug, to test the audit
    #[arg(long, value_name = "MUTANT", value_enum)]
    mutant: Option<Mutant>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    provider::serve(args.listen, &args.ledger, args.secret, args.mutant).await?;
    Ok(ExitCode::SUCCESS)
}
