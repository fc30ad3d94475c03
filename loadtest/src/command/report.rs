use std::path::{Path, PathBuf};

use anyhow::bail;
use loadtest::{
    fault, interleave, matrix,
    mutant::{self, table::Mutants},
    record::{
        Record,
        faults::Faults,
        file::Kind,
        interleavings::{Explorations, Replays},
    },
    report, table,
};

use super::{
    exit::Exit,
    output::{Destination, Output, Report},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What `--json` has written
    file: PathBuf,

    /// Print the table for a README instead
    #[arg(long)]
    markdown: bool,

    #[command(flatten)]
    report: Report,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let (file, kind) = (&args.file, Kind::of(&args.file)?);
    if args.markdown {
        print!("{}", markdown(file, kind)?);
        return Ok(Exit::AsPromised);
    }
    let html = match kind {
        Kind::Runs => report::html(&Record::read(file)?),
        Kind::Explored => report::explore::explored(&Explorations::read(file)?),
        Kind::Replayed => report::explore::replayed(&Replays::read(file)?),
        Kind::Faults | Kind::Mutants => {
            bail!("{} is of {kind}: --markdown prints their table", file.display())
        }
    };
    Destination::new(Output { json: None, report: args.report })?.write_report(&html)?;
    Ok(Exit::AsPromised)
}

/// The table of a file, for a README.
fn markdown(file: &Path, kind: Kind) -> anyhow::Result<String> {
    Ok(match kind {
        Kind::Runs => {
            let record = Record::read(file)?;
            let matrix = matrix::is_one(&record).then(|| format!("\n{}", matrix::markdown(&record)));
            table::markdown(&record) + &matrix.unwrap_or_default()
        }
        Kind::Faults => fault::table::markdown(&Faults::read(file)?),
        Kind::Mutants => mutant::table::markdown(&Mutants::read(file)?),
        Kind::Explored => interleave::table::markdown(&Explorations::read(file)?),
        Kind::Replayed => bail!("{} is of {kind}, which have no table", file.display()),
    })
}
