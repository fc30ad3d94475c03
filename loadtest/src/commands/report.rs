use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use loadtest::{
    explore::{
        self,
        figures::{Explorations, Replays},
    },
    fault::{self, figures::Faults},
    matrix,
    mutant::{self, table::Mutants},
    record::{Record, Run, check_writable},
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
        let record = Record::new(seed, runs);
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
    if let Ok(faults) = Faults::read(&args.file) {
        ensure!(args.markdown, "{} is of faults: --markdown prints their table", args.file.display());
        print!("{}", fault::table::markdown(&faults));
        return Ok(Exit::AsPromised);
    }
    if let Ok(mutants) = Mutants::read(&args.file) {
        ensure!(args.markdown, "{} is of mutants: --markdown prints their table", args.file.display());
        print!("{}", mutant::table::markdown(&mutants));
        return Ok(Exit::AsPromised);
    }
    if let Ok(explored) = Explorations::read(&args.file) {
        if args.markdown {
            print!("{}", explore::table::markdown(&explored));
            return Ok(Exit::AsPromised);
        }
        return again_as(args, &report::explore::explored(&explored));
    }
    if let Ok(replays) = Replays::read(&args.file) {
        ensure!(!args.markdown, "{} is of a schedule, which has no table", args.file.display());
        return again_as(args, &report::explore::replayed(&replays));
    }
    let record = Record::read(&args.file)?;
    if args.markdown {
        print!("{}", table::markdown(&record));
        if matrix::is_one(&record) {
            print!("\n{}", matrix::markdown(&record));
        }
        return Ok(Exit::AsPromised);
    }
    again_as(args, &report::html(&record))
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
    if let Ok(explored) = Explorations::read(file) {
        let first = explored.explored.iter().find_map(|one| Some((one.caption(), one.shown.as_ref()?)));
        return first.map(|(caption, shown)| report::lanes::svg(&caption, shown)).with_context(no_order);
    }
    let replays = Replays::read(file)?;
    let first = replays.replayed.first().with_context(no_order)?;
    Ok(report::lanes::svg(&first.caption(), &first.played))
}
