use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use loadtest::{
    fault, interleave, matrix,
    mutant::{self, table::Mutants},
    record::{
        Record, Run, Runs,
        faults::Faults,
        file::{Kind as Figures, check_writable},
        interleavings::{Explorations, Replays},
    },
    report, table,
};

use super::Exit;
use crate::cli::{Again, Kind, Output, Picture, Report};

/// Where the results of a run go; known to be writable before the run begins.
pub(crate) struct Destination {
    json: Option<PathBuf>,
    html: PathBuf,
    open: bool,
}

impl Destination {
    pub(crate) fn new(output: Output) -> anyhow::Result<Destination> {
        let Output { json, report: Report { html, open } } = output;
        let target = Path::new("target");
        let default = || if target.is_dir() { target } else { Path::new("") }.join("oversold-report.html");
        let destination = Destination { json, html: html.unwrap_or_else(default), open };
        for file in destination.json.iter().chain([&destination.html]) {
            check_writable(file)?;
        }
        Ok(destination)
    }

    /// Writes what was asked for, says where the report is, and judges the runs: the worst of them counts.
    pub(crate) fn conclude(&self, seed: u64, runs: Vec<Run>) -> anyhow::Result<Exit> {
        let exit = runs.iter().map(Exit::of).max().unwrap_or(Exit::AsPromised);
        let record = Record::new(Runs { seed, runs });
        if matrix::is_one(&record) {
            matrix::print(&record);
        }
        if let Some(file) = &self.json {
            record.write(file)?;
        }
        self.write_report(&report::html(&record))?;
        Ok(exit)
    }

    /// Where the figures go, if they are to be kept.
    pub(crate) fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }

    /// Writes a report that is ready, says where it is, and shows it if that was asked for.
    pub(crate) fn write_report(&self, html: &str) -> anyhow::Result<()> {
        let file = &self.html;
        fs::write(file, html).with_context(|| format!("cannot write {}", file.display()))?;
        println!("report: {}", fs::canonicalize(file)?.display());
        if self.open {
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let opened = Command::new(opener).arg(file).stdin(Stdio::null()).status();
            if !opened.is_ok_and(|status| status.success()) {
                eprintln!("{opener} could not show it: open it by hand");
            }
        }
        Ok(())
    }
}

pub(crate) fn again(args: Again) -> anyhow::Result<Exit> {
    let (file, kind) = (&args.file, Figures::of(&args.file)?);
    if args.markdown {
        print!("{}", markdown(file, kind)?);
        return Ok(Exit::AsPromised);
    }
    let html = match kind {
        Figures::Runs => report::html(&Record::read(file)?),
        Figures::Explored => report::explore::explored(&Explorations::read(file)?),
        Figures::Replayed => report::explore::replayed(&Replays::read(file)?),
        Figures::Faults | Figures::Mutants => {
            bail!("{} is of {kind}: --markdown prints their table", file.display())
        }
    };
    again_as(args, &html)
}

/// The table of a file, for a README.
fn markdown(file: &Path, kind: Figures) -> anyhow::Result<String> {
    Ok(match kind {
        Figures::Runs => {
            let record = Record::read(file)?;
            let matrix = matrix::is_one(&record).then(|| format!("\n{}", matrix::markdown(&record)));
            table::markdown(&record) + &matrix.unwrap_or_default()
        }
        Figures::Faults => fault::table::markdown(&Faults::read(file)?),
        Figures::Mutants => mutant::table::markdown(&Mutants::read(file)?),
        Figures::Explored => interleave::table::markdown(&Explorations::read(file)?),
        Figures::Replayed => bail!("{} is of {kind}, which have no table", file.display()),
    })
}

fn again_as(args: Again, html: &str) -> anyhow::Result<Exit> {
    Destination::new(Output { json: None, report: args.report })?.write_report(html)?;
    Ok(Exit::AsPromised)
}

pub(crate) fn picture(args: &Picture) -> anyhow::Result<Exit> {
    let svg = match args.kind {
        Kind::Lanes => lanes(&args.file)?,
        kind => of_runs(kind, &args.file)?,
    };
    fs::write(&args.svg, svg).with_context(|| format!("cannot write {}", args.svg.display()))?;
    Ok(Exit::AsPromised)
}

fn of_runs(kind: Kind, file: &Path) -> anyhow::Result<String> {
    let record = Record::read(file)?;
    ensure!(!record.runs.is_empty(), "{} has no runs", file.display());
    Ok(match kind {
        Kind::Ladder => report::ladder::svg(&record),
        Kind::Matrix => report::matrix::svg(&record),
        Kind::Funnel => report::funnel::svg(&record),
        Kind::Lanes => bail!("lanes are of an order of events"),
    })
}

/// Of the first that the file has.
fn lanes(file: &Path) -> anyhow::Result<String> {
    let no_order = || format!("{} has no order of events to show", file.display());
    if Figures::of(file)? == Figures::Explored {
        let explored = Explorations::read(file)?;
        let first = explored.explored.iter().find_map(|one| Some((one.caption(), one.shown.as_ref()?)));
        return first.map(|(caption, shown)| report::lanes::svg(&caption, shown)).with_context(no_order);
    }
    let replays = Replays::read(file)?;
    let first = replays.replayed.first().with_context(no_order)?;
    Ok(report::lanes::svg(&first.caption(), &first.played))
}
