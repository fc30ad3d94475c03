use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use loadtest::{
    fault::{self, figures::Faults},
    matrix,
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
        self.write_report(&record)?;
        Ok(exit)
    }

    fn write_report(&self, record: &Record) -> anyhow::Result<()> {
        let file = &self.html;
        fs::write(file, report::html(record)).with_context(|| format!("cannot write {}", file.display()))?;
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
    let record = Record::read(&args.file)?;
    if args.markdown {
        print!("{}", table::markdown(&record));
        if matrix::is_one(&record) {
            print!("\n{}", matrix::markdown(&record));
        }
        return Ok(Exit::AsPromised);
    }
    Destination::new(Output { json: None, report: args.report })?.write_report(&record)?;
    Ok(Exit::AsPromised)
}

pub(crate) fn picture(args: &Picture) -> anyhow::Result<Exit> {
    let record = Record::read(&args.file)?;
    ensure!(!record.runs.is_empty(), "{} has no runs", args.file.display());
    let svg = match args.kind {
        Kind::Ladder => report::ladder::svg(&record),
        Kind::Matrix => report::matrix::svg(&record),
        Kind::Funnel => report::funnel::svg(&record),
    };
    fs::write(&args.svg, svg).with_context(|| format!("cannot write {}", args.svg.display()))?;
    Ok(Exit::AsPromised)
}
