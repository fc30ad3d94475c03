use std::{path::PathBuf, process::ExitCode};

use loadtest::{figures, record::file::Kind};

use super::{print::note, report};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The repository
    #[arg(long, default_value = ".")]
    root: PathBuf,

    /// Writes the records' numbers and tables into the pages
    #[arg(long)]
    renew: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let tables = |file: &_| report::markdown(file, Kind::of(file)?);
    let findings = if args.renew { figures::renew(&args.root, &tables)? } else { figures::check(&args.root, &tables)? };
    findings.iter().for_each(note);
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
