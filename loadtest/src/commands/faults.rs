use std::pin::pin;

use clap::ValueEnum;
use loadtest::{
    fault::{
        Fault,
        figures::{Faults, Rounds},
        round, table,
    },
    lab::Lab,
    open_files,
    plan::Plan,
    record::check_writable,
    services::{Server, Services},
    text::thousands,
    version::Version,
};
use v1_naive::shop::stop_signal;

use super::{Exit, this_program, with_progress};
use crate::cli;

/// Connections that the buyers share. With many more, the stock is gone before anything can be killed.
const CONNECTIONS: usize = 50;

/// Starts the servers, and works until done or told to stop; the servers go with their value in either case.
pub(crate) async fn faults(args: cli::Faults) -> anyhow::Result<Exit> {
    let mut stop = pin!(stop_signal()?);
    tokio::select! {
        exit = strike(&args) => exit,
        () = &mut stop => Ok(Exit::Interrupted),
    }
}

async fn strike(args: &cli::Faults) -> anyhow::Result<Exit> {
    args.json.iter().try_for_each(|file| check_writable(file))?;
    let plan = Plan {
        buyers: args.buyers as usize,
        stock: args.stock.into(),
        instances: args.instances as usize,
        connections: CONNECTIONS,
        ..Plan::stampede(Version::V6, None)
    };
    open_files::allow(plan.sockets())?;
    let program = this_program()?;
    let mut services = tokio::task::spawn_blocking(move || Services::start(&program, &Server::ALL)).await??;
    let lab = Lab::on(this_program()?, &services).await?;

    let chosen = if args.faults.is_empty() { Fault::value_variants() } else { &args.faults };
    println!("{}, {} units, {} instances of {}", plan.who(), thousands(plan.stock), plan.instances, plan.version);
    table::head();
    let (mut faults, mut played, rounds) = (Vec::new(), 0, args.rounds as usize);
    for &fault in chosen {
        let mut of_fault = Rounds::of(fault);
        for n in 0..args.rounds {
            played += 1;
            let title = format!("[{played}/{}] {fault}", chosen.len() * rounds);
            let plan = Plan { seed: args.seed + u64::from(n), ..plan.clone() };
            let work = async |progress| round(&lab, &mut services, fault, &plan, progress).await;
            of_fault.rounds.push(with_progress(&title, &plan.who(), Some(plan.buyers), work).await?);
        }
        table::row(&of_fault);
        faults.push(of_fault);
    }
    table::legend();
    let faults = Faults::new(args.seed, faults);
    if let Some(file) = &args.json {
        faults.write(file)?;
    }
    Ok(if faults.are_clean() { Exit::AsPromised } else { Exit::PromiseBroken })
}
