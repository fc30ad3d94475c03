use std::process::ExitCode;

use loadtest::{
    lab::{Backend, Lab},
    services::{self, Server},
};

use super::this_program;
use crate::cli::Serve;

pub(crate) async fn serve(args: Serve) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        services::stop_with_parent();
    }
    let mut shop_args = args.shop_args;
    let mut lab = None;
    let backend = match args.database.as_deref() {
        Some("postgres") => Some(Backend::Postgres),
        Some("sqlite") => Some(Backend::Sqlite),
        Some(url) => {
            shop_args.extend(["--database-url".into(), url.into()]);
            None
        }
        // A shop that needs more than a file: the servers that were not named are started.
        None if args.version.needs_stores() && !are_named(&shop_args) => {
            let given = std::env::var(Server::Postgres.variable()).ok().map(|url| url.parse::<Backend>());
            Some(given.transpose().map_err(|why| anyhow::anyhow!("DATABASE_URL {why}"))?.unwrap_or(Backend::Postgres))
        }
        None => None,
    };
    if let Some(backend) = backend {
        eprintln!("starting private servers …");
        let opened = Lab::open(this_program()?, &backend).await?;
        let database = opened.fresh_database().await?;
        if args.version.needs_stores() {
            shop_args.extend(opened.fresh_stores(&database).await?.shop_args());
        }
        shop_args.extend(["--database-url".into(), database.url.into()]);
        lab = Some(opened);
    }
    let exit = args.version.serve(&shop_args).await;
    if let Some(lab) = lab {
        lab.close().await;
    }
    Ok(exit)
}

/// Whether all servers are named, or none is needed because somebody only asks for help.
fn are_named(shop_args: &[String]) -> bool {
    let flag = |flag: &str| shop_args.iter().any(|arg| arg.split('=').next() == Some(flag));
    let named = |server: Server| {
        let key = server.variable();
        std::env::var_os(key).is_some() || flag(&format!("--{}", key.to_lowercase().replace('_', "-")))
    };
    flag("--help") || flag("-h") || Server::ALL.into_iter().all(named)
}
