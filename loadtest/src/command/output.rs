use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use loadtest::{
    matrix,
    record::{
        Record, Run, Runs,
        file::{Figures, File, check_writable},
    },
    render::{self, page},
};

use super::{
    ending::say_nothing_to_report,
    exit::Exit,
    print::{note, print, room, say},
};

#[derive(clap::Args)]
pub(crate) struct Output {
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(clap::Args)]
pub(crate) struct Report {
    /// Write the report to this file [default: oversold-report.html, in target/ if that is there]
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Show the report in the browser
    #[arg(long)]
    open: bool,
}

/// The files for the results. They are checked to be writable before the run begins.
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
        let is_same = destination.json.as_ref() == Some(&destination.html);
        ensure!(!is_same, "--json and --html name the same file: {}", destination.html.display());
        for file in destination.json.iter().chain([&destination.html]) {
            check_writable(file)?;
        }
        Ok(destination)
    }

    /// Writes what was asked for, says where the report is, and judges the runs: the worst of them counts. Without any run, because
    /// the user ended the first one, nothing is written.
    pub(crate) fn conclude(&self, seed: u64, runs: Vec<Run>) -> anyhow::Result<Exit> {
        if runs.is_empty() {
            say_nothing_to_report();
            return Ok(Exit::Invalid);
        }
        let exit = runs.iter().map(Exit::of).max().unwrap_or(Exit::AsPromised);
        let record = Record::new(Runs { seed, runs });
        if matrix::is_one(&record) {
            print(render::matrix::table(&record).terminal(room()));
            for (run, reason) in record.runs.iter().filter_map(|run| Some((run, run.verdict.invalid()?))) {
                say(format_args!(
                    "invalid: {}: {reason}. It says nothing about the version; run it again.",
                    run.title()
                ));
            }
        }
        let tables = [render::rounds::table(&record.runs), render::thresholds::table(&record.runs)];
        for table in tables.into_iter().flatten() {
            print(format_args!("\n{}", table.terminal(room())));
        }
        self.write_both(&record, &page::runs::report(&record))?;
        Ok(exit)
    }

    /// Writes the figures, if the user has asked for them, and the report. An error of one does not stop the other.
    pub(crate) fn write_both<F: Figures>(&self, file: &File<F>, html: &str) -> anyhow::Result<()> {
        let written = self.json.as_ref().map_or(Ok(()), |path| file.write(path));
        self.write_report(html).and(written)
    }

    /// The file for the figures; `None` if none was named.
    pub(crate) fn json(&self) -> Option<&Path> {
        self.json.as_deref()
    }

    /// Writes the report, prints its path, and opens it if the user has asked for that.
    pub(crate) fn write_report(&self, html: &str) -> anyhow::Result<()> {
        let file = &self.html;
        fs::write(file, html).with_context(|| format!("cannot write {}", file.display()))?;
        say(format_args!("report: {}", fs::canonicalize(file)?.display()));
        if self.open {
            let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
            let opened = Command::new(opener).arg(file).stdin(Stdio::null()).status();
            if !opened.is_ok_and(|status| status.success()) {
                note(format_args!("{opener} could not show it: open it by hand"));
            }
        }
        Ok(())
    }
}
