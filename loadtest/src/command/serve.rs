mod on_machines;

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context, ensure};
use loadtest::{
    lab::{
        Backend, Lab,
        servers::{self, Server, nginx::Nginx},
        shop_process::ShopProcess,
    },
    version::Version,
};
use tokio::task::spawn_blocking;
use v1_naive::shop::{self, stop_signal};

use super::{
    database::this_program,
    machines::MachinesArgs,
    print::{note, say},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// v1-naive, v2-pessimistic, v3-optimistic, v4-ratelimit, v5-hidden-api or v6-production; v1 … v6 for short
    version: Version,

    /// sqlite, postgres (a private server), or a URL [default: DATABASE_URL, otherwise sqlite; v6 starts private servers for
    /// those that are not named]
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,

    /// Instances of the shop behind nginx
    #[arg(long, default_value_t = 1, requires = "nginx", value_parser = clap::value_parser!(u32).range(1..=16))]
    instances: u32,

    /// Start nginx in front, as chapter 6 is deployed; then --listen is nginx's address
    #[arg(long)]
    nginx: bool,

    #[command(flatten)]
    machines: MachinesArgs,

    /// Stop when standard input is closed
    #[arg(long, hide = true)]
    while_stdin_is_open: bool,

    /// Arguments of the shop: --variant, --listen, --stock, … (`cargo loadtest serve v1 -- --help` lists them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    shop_args: Vec<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.while_stdin_is_open {
        servers::stop_with_parent();
    }
    if args.machines.are_asked_for() {
        return on_machines::run(&args).await;
    }
    let mut shop_args = args.shop_args.clone();
    let mut lab = None;
    let backend = match args.database.as_deref() {
        Some("postgres") => Some(Backend::Postgres),
        Some("sqlite") => Some(Backend::Sqlite),
        Some(url) => {
            shop_args.extend(["--database-url".into(), url.into()]);
            None
        }
        // Chapter 6 needs servers: those that were not named are started.
        None if args.version.needs_stores() && !are_named(&shop_args) => {
            let given = std::env::var(Server::Postgres.variable()).ok().map(|url| url.parse::<Backend>());
            Some(given.transpose().map_err(|why| anyhow::anyhow!("DATABASE_URL {why}"))?.unwrap_or(Backend::Postgres))
        }
        None => None,
    };
    if let Some(backend) = backend {
        note("starting private servers …");
        let opened = tokio::select! {
            opened = Lab::open(this_program()?, &backend) => opened?,
            () = stop_signal()? => return Ok(ExitCode::SUCCESS),
        };
        let database = opened.fresh_database().await?;
        if args.version.needs_stores() {
            shop_args.extend(opened.fresh_stores(&database).await?.shop_args());
        }
        shop_args.extend(["--database-url".into(), database.url.into()]);
        lab = Some(opened);
    }
    let exit = match args.nginx {
        true => behind_nginx(&args, shop_args).await,
        false => Ok(serve(args.version, &shop_args).await),
    };
    if let Some(lab) = lab {
        lab.close().await;
    }
    exit
}

/// Runs a version's shop with the arguments of its own program.
async fn serve(version: Version, args: &[String]) -> ExitCode {
    let args = || std::iter::once(version.name()).chain(args.iter().map(String::as_str));
    match version {
        Version::V1 => {
            let config: v1_naive::Config = shop::parse_from(args());
            shop::run(&config.shop, v1_naive::app(&config)).await
        }
        Version::V2 => {
            let config: v2_pessimistic::Config = shop::parse_from(args());
            shop::run(&config.shop, v2_pessimistic::app(&config)).await
        }
        Version::V3 => {
            let config: v3_optimistic::Config = shop::parse_from(args());
            shop::run(&config.shop, v3_optimistic::app(&config)).await
        }
        Version::V4 => {
            let config: v4_ratelimit::Config = shop::parse_from(args());
            shop::run(&config.shop, v4_ratelimit::app(&config)).await
        }
        Version::V5 => {
            let config: v5_hidden_api::Config = shop::parse_from(args());
            shop::run(&config.shop, v5_hidden_api::app(&config)).await
        }
        Version::V6 => v6_production::main(&shop::parse_from(args())).await,
    }
}

/// Whether all servers are named, or none is needed because only help is printed.
fn are_named(shop_args: &[String]) -> bool {
    let named = |server: Server| std::env::var_os(server.variable()).is_some() || is_given(shop_args, &flag_of(server));
    ["--help", "-h"].into_iter().any(|flag| is_given(shop_args, flag)) || Server::STORES.into_iter().all(named)
}

/// Starts the instances as the lab does, with nginx in front of them, until a stop is requested.
async fn behind_nginx(args: &Args, mut shop_args: Vec<String>) -> anyhow::Result<ExitCode> {
    ensure!(args.version.needs_stores(), "nginx is part of chapter 6; {} has none", args.version);
    let stop = stop_signal()?;
    let listen = take(&mut shop_args, "--listen").or_else(|| std::env::var("LISTEN").ok());
    let listen: SocketAddr =
        listen.as_deref().unwrap_or("127.0.0.1:3000").parse().context("--listen is not an address")?;
    for server in Server::OF_SHOPS {
        if let Ok(url) = std::env::var(server.variable())
            && !is_given(&shop_args, &flag_of(server))
        {
            shop_args.extend([flag_of(server), url]);
        }
    }
    shop_args.extend(["--trusted-proxies".into(), "127.0.0.1".into()]);
    let (program, logs) = (this_program()?, tempfile::Builder::new().prefix("oversold-logs-").tempdir()?);
    let mut shops = Vec::new();
    for n in 1..=args.instances {
        let log = logs.path().join(format!("instance-{n}.log"));
        shops.push(ShopProcess::start(&program, args.version, &shop_args, log).await?);
    }
    let instances: Vec<SocketAddr> = shops.iter().map(|shop| shop.address).collect();
    let nginx = spawn_blocking(move || Nginx::start(listen, &instances, false)).await??;
    say(format_args!("listening on {}", nginx.url().as_str().trim_end_matches('/')));
    for (n, shop) in shops.iter().enumerate() {
        say(format_args!("instance {}: http://{}/metrics and /readyz", n + 1, shop.address));
    }
    say(format_args!("to trace an order: grep its number {}/*.log", logs.path().display()));
    stop.await;
    spawn_blocking(|| drop(nginx)).await?;
    for shop in shops {
        shop.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes `--flag value` or `--flag=value` from the arguments and returns the value.
fn take(args: &mut Vec<String>, flag: &str) -> Option<String> {
    let at = args.iter().position(|arg| arg.split('=').next() == Some(flag))?;
    let arg = args.remove(at);
    match arg.split_once('=') {
        Some((_, value)) => Some(value.to_owned()),
        None if at < args.len() => Some(args.remove(at)),
        None => None,
    }
}

fn is_given(args: &[String], flag: &str) -> bool {
    args.iter().any(|arg| arg.split('=').next() == Some(flag))
}

fn flag_of(server: Server) -> String {
    format!("--{}", server.variable().to_lowercase().replace('_', "-"))
}
