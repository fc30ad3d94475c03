use std::process::ExitCode;

use crate::cli::Provider;

pub(crate) async fn provider(args: Provider) -> anyhow::Result<ExitCode> {
    loadtest::provider::serve(args.listen, &args.ledger, args.secret, args.mutant).await?;
    Ok(ExitCode::SUCCESS)
}
