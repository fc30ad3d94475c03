use std::process::ExitCode;

use loadtest::{
    lab::{Backend, Lab},
    services,
};

use super::this_program;
use crate::cli::Serve;

pub(crate) async fn serve(args: Serve) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        services::stop_with_parent();
    }
    let mut shop_args = args.shop_args;
    let mut lab = None;
    match args.database.as_deref() {
        None => {}
        Some("postgres") => {
            let opened = Lab::open(this_program()?, &Backend::Postgres).await?;
            shop_args.extend(["--database-url".into(), opened.fresh_database().await?.url.into()]);
            lab = Some(opened);
        }
        Some("sqlite") => {
            let opened = Lab::open(this_program()?, &Backend::Sqlite).await?;
            shop_args.extend(["--database-url".into(), opened.fresh_database().await?.url.into()]);
            lab = Some(opened);
        }
        Some(url) => shop_args.extend(["--database-url".into(), url.into()]),
    }
    let exit = args.version.serve(&shop_args).await;
    if let Some(lab) = lab {
        lab.close().await;
    }
    Ok(exit)
}
