//! The shop on three machines, one instance on each, with nginx in front.

use std::{net::SocketAddr, process::ExitCode};

use anyhow::{Context, ensure};
use loadtest::{
    lab::{Lab, machines::door, servers::nginx::Nginx, shop_process::ShopProcess},
    version::Version,
};
use tokio::task::spawn_blocking;
use v1_naive::shop::stop_signal;

use super::{Args, take};
use crate::command::{
    database::this_program,
    machines::{bring_back_killed, say_how_to_kill},
    print::say,
};

/// Serves until a stop is requested.
pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    ensure!(args.version == Version::V6, "--machines is about chapter 6's clusters; {} has none", args.version);
    let (version, mut shop_args) = (args.version, args.shop_args.clone());
    let listen = take(&mut shop_args, "--listen").or_else(|| std::env::var("LISTEN").ok());
    let listen: SocketAddr =
        listen.as_deref().unwrap_or("127.0.0.1:3000").parse().context("--listen is not an address")?;
    // Inside its namespaces, nginx would be at an address that no browser reaches.
    let door = door::open(listen)?;
    let machines = args.machines.start().await?.context("--machines is missing")?;
    let stop = stop_signal()?;
    let lab = Lab::on_machines(this_program()?, machines.clone()).await?;
    let database = lab.fresh_database().await?;
    let stores = lab.fresh_stores(&database).await?;
    shop_args.extend(stores.shop_args());
    shop_args.extend(["--trusted-proxies".into(), machines.load_test().to_string()]);
    let mut shops = Vec::new();
    for machine in machines.all() {
        let mut args = shop_args.clone();
        args.extend(["--database-url".into(), machine.database(&database.url)?.into()]);
        let log = lab.folder.path().join(format!("{}.log", machine.name()));
        shops.push(ShopProcess::start_on(machine.clone(), &lab.loadtest, version, &args, log).await?);
    }
    let instances: Vec<SocketAddr> = shops.iter().map(|shop| shop.address).collect();
    let nginx = spawn_blocking(move || Nginx::start(([127, 0, 0, 1], 0).into(), &instances, false)).await??;
    let at = nginx.url().socket_addrs(|| None)?[0];
    say(format_args!("listening on http://{listen}"));
    say_how_to_kill(&machines);
    let is_back = async |number: u8| shops[usize::from(number) - 1].start_again().await;
    tokio::select! {
        () = stop => {}
        failed = door::forward(door, at) => failed?,
        failed = bring_back_killed(&machines, is_back) => match failed? {},
    }
    spawn_blocking(|| drop(nginx)).await?;
    for shop in shops {
        shop.stop().await;
    }
    lab.close().await;
    Ok(ExitCode::SUCCESS)
}
