//! One file per command.

pub(crate) mod demo;
pub(crate) mod explore;
pub(crate) mod faults;
pub(crate) mod matrix;
pub(crate) mod mutants;
pub(crate) mod nginx;
pub(crate) mod provider;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod services;

use std::{
    io::IsTerminal,
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadtest::{
    buyer::progress::Progress,
    lab::Lab,
    record,
    scenario::plan::Plan,
    verdict::Verdict,
    version::{Variant, Version},
};
use v1_naive::shop::stop_signal;

use crate::cli::Database;

/// How a program of ours ends.
///
/// In order of weight: of several runs, a broken promise counts more than an invalid run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    AsPromised,
    Invalid,
    PromiseBroken,
    SetUp,
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::AsPromised => 0,
            Exit::PromiseBroken => 2,
            Exit::Invalid => 3,
            Exit::SetUp => 4,
            Exit::Interrupted => 130,
        })
    }
}

impl Exit {
    /// Of a run; the worst of several is the greatest.
    pub(crate) fn of(run: &record::Run) -> Exit {
        match run.verdict {
            Verdict::AsPromised | Verdict::Measured => Exit::AsPromised,
            Verdict::NotAsPromised => Exit::PromiseBroken,
            Verdict::Invalid(_) => Exit::Invalid,
        }
    }
}

/// A version's variant of this name, if one is named.
pub(crate) fn variant(version: Version, name: Option<&str>) -> anyhow::Result<Option<Variant>> {
    name.map(|name| version.variant(name)).transpose().map_err(anyhow::Error::msg)
}

/// This very program, to be started again as a shop or as the servers' keeper.
pub(crate) fn this_program() -> anyhow::Result<PathBuf> {
    Ok(std::env::current_exe()?)
}

/// Opens a lab, on the best database there is if none is named, and works in it until done or told to stop; tidies up
/// in either case.
pub(crate) async fn in_lab(
    database: &Database,
    work: impl AsyncFnOnce(&Lab) -> anyhow::Result<Exit>,
) -> anyhow::Result<Exit> {
    let mut stop = pin!(stop_signal()?);
    let lab = async {
        match database.backend()? {
            Some(backend) => Lab::open(this_program()?, &backend).await,
            None => Lab::open_best(this_program()?).await,
        }
    };
    let lab = tokio::select! {
        lab = lab => lab?,
        () = &mut stop => return Ok(Exit::Interrupted),
    };
    let result = tokio::select! {
        result = work(&lab) => result,
        () = &mut stop => Ok(Exit::Interrupted),
    };
    lab.close().await;
    result
}

/// Runs a plan, and shows how far it is; `which` says which of how many.
pub(crate) async fn run_with_progress(lab: &Lab, plan: &Plan, which: &str) -> anyhow::Result<record::Run> {
    // Only of a crowd is it known how many have been served.
    let length = plan.scenario.is_a_crowd().then_some(plan.buyers);
    let title = format!("{which}{}", plan.title());
    with_progress(&title, &plan.who(), length, async |progress| loadtest::run::run(lab, plan, progress).await).await
}

/// Works with a bar on a terminal, and a line elsewhere; `length` is how many buyers there are to be served, if that is known.
pub(crate) async fn with_progress<T>(
    title: &str,
    who: &str,
    length: Option<usize>,
    work: impl AsyncFnOnce(Progress) -> T,
) -> T {
    let progress = Progress::default();
    let bar = bar(title, who, length);
    let shown = {
        let (bar, progress) = (bar.clone(), Arc::clone(&progress));
        tokio::spawn(async move {
            loop {
                bar.set_position(progress.served.load(Relaxed) as u64);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let done = work(progress).await;
    shown.abort();
    bar.finish_and_clear();
    done
}

fn bar(title: &str, who: &str, length: Option<usize>) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    if !terminal {
        eprintln!("{title}: {who} …");
    }
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = match length {
        Some(_) => "{prefix:48} {bar:30} {human_pos}/{human_len} buyers {elapsed}",
        None => "{prefix:48} {spinner} {msg} {elapsed}",
    };
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(length.map(|n| n as u64), target).with_style(style);
    bar.with_message(who.to_owned()).with_prefix(title.to_owned())
}
