use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail, ensure};
use loadtest::{
    explore::figures::{Explorations, Replays},
    fault::figures::Faults,
    file::{Kind as Figures, check_writable},
    matrix,
    mutant::figures::Mutants,
    record::{Record, Run, Runs},
    render::{self, faults, interleavings, mutants, page, runs, svg},
    scenario::Scenario,
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
            anstream::print!("{}", render::matrix::table(&record).terminal());
            for (run, reason) in record.runs.iter().filter_map(|run| Some((run, run.verdict.invalid()?))) {
                println!("invalid: {}: {reason}. It says nothing about the version; run it again.", run.title());
            }
        }
        if let Some(file) = &self.json {
            record.write(file)?;
        }
        self.write_report(&page::runs::report(&record))?;
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
        Figures::Runs => page::runs::report(&Record::read(file)?),
        Figures::Explored => page::interleavings::explored(&Explorations::read(file)?),
        Figures::Replayed => page::interleavings::replayed(&Replays::read(file)?),
        Figures::Faults | Figures::Mutants => {
            bail!("{} is of {kind}: --markdown prints their table", file.display())
        }
    };
    Destination::new(Output { json: None, report: args.report })?.write_report(&html)?;
    Ok(Exit::AsPromised)
}

/// The table of a file, for a README.
fn markdown(file: &Path, kind: Figures) -> anyhow::Result<String> {
    Ok(match kind {
        Figures::Runs => {
            let record = Record::read(file)?;
            if !matrix::is_one(&record) {
                return Ok(runs::table(&record.runs).markdown());
            }
            // The other runs stand in the matrix.
            let stampedes = record.runs.iter().filter(|run| run.scenario == Scenario::Stampede);
            format!("{}\n{}", runs::table(stampedes).markdown(), render::matrix::table(&record).markdown())
        }
        Figures::Faults => faults::table(&Faults::read(file)?.faults).markdown(),
        Figures::Mutants => mutants::table(&Mutants::read(file)?.mutants).markdown(),
        Figures::Explored => interleavings::table(&Explorations::read(file)?.explored).markdown(),
        Figures::Replayed => bail!("{} is of {kind}, which have no table", file.display()),
    })
}

pub(crate) fn picture(args: &Picture) -> anyhow::Result<Exit> {
    let of_runs = |picture: fn(&Record) -> svg::Picture| {
        let record = Record::read(&args.file)?;
        ensure!(!record.runs.is_empty(), "{} has no runs", args.file.display());
        Ok(picture(&record))
    };
    let picture = match args.kind {
        Kind::Ladder => of_runs(svg::ladder::picture),
        Kind::Matrix => of_runs(svg::matrix::picture),
        Kind::Funnel => of_runs(svg::funnel::picture),
        Kind::Lanes => lanes(&args.file),
    };
    fs::write(&args.svg, picture?.file()).with_context(|| format!("cannot write {}", args.svg.display()))?;
    Ok(Exit::AsPromised)
}

/// Of the first that the file has.
fn lanes(file: &Path) -> anyhow::Result<svg::Picture> {
    let no_order = || format!("{} has no order of events to show", file.display());
    if Figures::of(file)? == Figures::Explored {
        let explored = Explorations::read(file)?;
        let first = explored.explored.iter().find_map(|one| Some((one.caption(), one.shown.as_ref()?)));
        return first.map(|(caption, shown)| svg::lanes::picture(&caption, shown)).with_context(no_order);
    }
    let replays = Replays::read(file)?;
    let first = replays.replayed.first().with_context(no_order)?;
    Ok(svg::lanes::picture(&first.caption(), &first.played))
}
