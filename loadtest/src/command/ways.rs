use std::{collections::HashSet, path::PathBuf, time::Duration};

use anyhow::ensure;
use loadtest::{
    lab::{
        open_files,
        servers::{Server, Services},
    },
    record::{
        file::check_writable,
        ways::{Contention, Measured, Skipped, Way, Ways},
    },
    render,
    ways::{self, rounds::Rounds, way::Entry, worker},
};
use tokio::task::spawn_blocking;

use super::{
    database::this_program,
    ending::Interrupts,
    exit::Exit,
    print::{note, print, room, say},
    progress::spinner,
};

/// Connections that are open at the same time, with a margin.
const SOCKETS: usize = 1500;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ways to play; all of them if none is named
    #[arg(value_name = "WAY", value_parser = parse)]
    ways: Vec<&'static Entry>,

    /// How many buyers want the same item
    #[arg(long, value_enum, default_value_t = Contention::Hot)]
    contention: Contention,

    /// The numbers of clients at which rates are measured, each from 1 to 256
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16,64,256", value_parser = clap::value_parser!(u16).range(1..=256))]
    clients: Vec<u16>,

    /// Also pause the process of a lock's holder for longer than its lease
    #[arg(long)]
    pause: bool,

    /// The number of processes in the round with several
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(i64).range(2..=16))]
    processes: i64,

    /// How often each rate is measured
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The way of this name.
fn parse(name: &str) -> Result<&'static Entry, String> {
    let names = || ways::all().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    ways::named(name).ok_or_else(|| format!("there is no such way; the ways are {}", names()))
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    if let Some(path) = &args.json {
        check_writable(path)?;
    }
    open_files::allow(SOCKETS)?;
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        done = play(args) => done,
        interrupted = interrupts.next() => Ok(interrupted),
    }
}

async fn play(args: Args) -> anyhow::Result<Exit> {
    let chosen: Vec<&Entry> = if args.ways.is_empty() { ways::all().collect() } else { args.ways.clone() };
    let missing = |entry: &Entry| entry.servers.iter().find_map(|server| server.missing());
    let (playable, missing): (Vec<&Entry>, Vec<&Entry>) =
        chosen.into_iter().partition(|entry| missing(entry).is_none());
    let skipped = missing.into_iter().map(|entry| Skipped {
        way: entry.name.into(),
        why: entry.servers.iter().find_map(|server| server.missing()).unwrap_or_default(),
    });
    let skipped: Vec<Skipped> = skipped.collect();
    for Skipped { way, why } in &skipped {
        note(format_args!("{way} is skipped: {why}"));
    }
    ensure!(!playable.is_empty(), "no way can be played");

    let servers: HashSet<Server> = playable.iter().flat_map(|entry| entry.servers).copied().collect();
    let (program, servers) = (this_program()?, servers.into_iter().collect::<Vec<_>>());
    let progress = spinner("starting the servers");
    let services = spawn_blocking(move || Services::start(&program, &servers)).await??;
    progress.finish_and_clear();
    let rounds = Rounds::new(this_program()?, services, args.contention);

    let mut measured = Measured {
        contention: args.contention,
        stock: args.contention.stock(),
        processes: args.processes,
        ways: playable.iter().map(|entry| Way::of(entry)).collect(),
        skipped,
    };
    for round in 1..=args.rounds {
        for (entry, way) in playable.iter().zip(&mut measured.ways) {
            if way.failed.is_some() {
                continue;
            }
            let progress = spinner(&format!("{}, round {round} of {}", entry.name, args.rounds));
            progress.enable_steady_tick(Duration::from_millis(100));
            if let Err(why) = measure(&rounds, entry, &args, round, way).await {
                way.failed = Some(format!("{why:#}"));
            }
            progress.finish_and_clear();
            note(render::ways::line(way));
        }
    }
    let file = Ways::new(measured);
    print(render::ways::tables(&file).map(|table| table.terminal(room())).join("\n"));
    render::ways::notes(&file).iter().for_each(say);
    if let Some(path) = &args.json {
        file.write(path)?;
    }
    let has_failed = file.ways.iter().any(|way| way.failed.is_some());
    Ok(if has_failed { Exit::Invalid } else { Exit::AsPromised })
}

/// One round of a way. The sales that are only audited are in the first one.
async fn measure(rounds: &Rounds, entry: &Entry, args: &Args, round: u32, way: &mut Way) -> anyhow::Result<()> {
    let clients: Vec<usize> = args.clients.iter().map(|clients| usize::from(*clients)).collect();
    way.rates.extend(rounds.rates(entry, &clients, round).await?);
    if round > 1 {
        return Ok(());
    }
    way.calls = Some(rounds.calls(entry).await?);
    way.one_process = Some(rounds.sale(entry, 1).await?);
    if !entry.is_only_measured {
        way.several_processes = Some(rounds.sale(entry, args.processes).await?);
        way.restart = Some(rounds.restart(entry).await?);
    }
    if args.pause && entry.has_a_holder {
        way.pause = Some(rounds.pause(entry).await?);
    }
    Ok(())
}

/// Sells as a second process, which the first one talks to.
pub(crate) async fn worker() -> anyhow::Result<std::process::ExitCode> {
    worker::run().await?;
    Ok(std::process::ExitCode::SUCCESS)
}
