use std::path::{Path, PathBuf};

use anyhow::bail;
use loadtest::{
    matrix,
    record::{
        Record,
        bench::Bench,
        capacity::Capacities,
        faults::Faults,
        file::Kind,
        interleavings::{Explorations, Replays},
        mutants::Mutants,
        ways::Ways,
    },
    render::{self, capacity, faults, interleavings, mutants, page, runs, table::Table},
    scenario::Scenario,
};

use super::{
    exit::Exit,
    output::{Destination, Output, Report},
    print::result,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A file written by `--json`
    file: PathBuf,

    /// Print the file's table for a README instead
    #[arg(long)]
    markdown: bool,

    #[command(flatten)]
    report: Report,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let (file, kind) = (&args.file, Kind::of(&args.file)?);
    if args.markdown {
        result(markdown(file, kind)?)?;
        return Ok(Exit::AsPromised);
    }
    let html = match kind {
        Kind::Runs => page::runs::report(&Record::read(file)?),
        Kind::Explored => page::interleavings::explored(&Explorations::read(file)?),
        Kind::Replayed => page::interleavings::replayed(&Replays::read(file)?),
        Kind::Capacities => page::capacity::report(&Capacities::read(file)?),
        Kind::Faults | Kind::Mutants | Kind::Bench | Kind::Ways => {
            bail!("{} is of {kind}: --markdown prints their table", file.display())
        }
        Kind::Generator | Kind::Watchers => bail!("{} is of {kind}, which have no report", file.display()),
    };
    Destination::new(Output { json: None, report: args.report })?.write_report(&html)?;
    Ok(Exit::AsPromised)
}

/// The table of a file, for a README.
pub(super) fn markdown(file: &Path, kind: Kind) -> anyhow::Result<String> {
    Ok(match kind {
        Kind::Runs => {
            let record = Record::read(file)?;
            if !matrix::is_one(&record) {
                return Ok(runs::table(&record.runs).markdown());
            }
            // All other runs are in the matrix.
            let stampedes = record.runs.iter().filter(|run| run.scenario == Scenario::Stampede);
            format!("{}\n{}", runs::table(stampedes).markdown(), render::matrix::table(&record).markdown())
        }
        Kind::Faults => faults::table(&Faults::read(file)?.faults).markdown(),
        Kind::Mutants => mutants::table(&Mutants::read(file)?.mutants).markdown(),
        Kind::Explored => interleavings::table(&Explorations::read(file)?.explored).markdown(),
        Kind::Capacities => {
            let capacities = Capacities::read(file)?.capacities.clone();
            format!("{}\n{}", capacity::table(&capacities).markdown(), capacity::costs(&capacities).markdown())
        }
        Kind::Bench => Table::all(&render::bench::tables(&Bench::read(file)?.figures), Table::markdown),
        Kind::Ways => Table::all(&render::ways::tables(&Ways::read(file)?.figures), Table::markdown),
        Kind::Replayed | Kind::Generator | Kind::Watchers => {
            bail!("{} is of {kind}, which have no table", file.display())
        }
    })
}
