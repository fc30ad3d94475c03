use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use clap::ValueEnum;
use loadtest::{
    lab::open_files,
    mutant::{Mutant, play::play},
    record::{
        file::check_writable,
        mutants::{Cells, Mutants},
    },
    render::mutants,
    scenario::{SCENARIOS, plan::SEED},
};

use super::{
    database::{Database, in_lab},
    exit::Exit,
    print::{note, print, room, say},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Mutants to check [default: all]
    #[arg(value_name = "SHOP")]
    mutants: Vec<Mutant>,

    #[command(flatten)]
    database: Database,

    /// Write the table to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The most sockets that are open at the same time: the slow shop's crowds, the other crowds and a flood.
const SOCKETS: usize = 10_000;

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    args.json.iter().try_for_each(|file| check_writable(file))?;
    open_files::allow(SOCKETS)?;
    let chosen = if args.mutants.is_empty() { Mutant::value_variants() } else { &args.mutants };
    in_lab(&args.database, async |lab| {
        let (played, all) = (AtomicUsize::new(0), chosen.len() * SCENARIOS.len());
        let (shops, scenarios) = (chosen.len(), SCENARIOS.len());
        say(format_args!("{shops} shops in {scenarios} scenarios; about three minutes for all"));
        let cells = play(lab, chosen, |cell| {
            let n = played.fetch_add(1, Relaxed) + 1;
            note(format_args!("[{n}/{all}] {} in {}", cell.mutant, cell.scenario));
        })
        .await?;
        print(mutants::table(&cells).terminal(room()));
        for cell in cells.iter().filter(|cell| !cell.is_expected()) {
            say(format_args!("{} in {}: came out {}", cell.mutant, cell.scenario, cell.words()));
        }
        let expected = cells.iter().all(|cell| cell.is_expected());
        say(match expected {
            true => "Each shop that is wrong is noticed where it has to be, and the right one holds.",
            false => "NOT AS EXPECTED: a check has passed for a shop that is wrong, or failed for one that is right.",
        });
        if let Some(file) = &args.json {
            Mutants::new(Cells { seed: Some(SEED), mutants: cells }).write(file)?;
        }
        Ok(if expected { Exit::AsPromised } else { Exit::PromiseBroken })
    })
    .await
}
