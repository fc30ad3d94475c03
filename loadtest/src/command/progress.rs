use std::{
    io::{IsTerminal, stderr, stdout},
    sync::atomic::Ordering::Relaxed,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadtest::{
    buyer::{
        ending::Ending,
        progress::{Counts, Progress},
    },
    lab::Lab,
    record::Run,
    scenario::{Scenario, plan::Plan},
};
use tokio::time::sleep;

use super::{
    live::{Sampler, Screen},
    print::note,
};

/// What is shown while a run plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// A live screen, if this is a terminal with room for it. Otherwise a line.
    Screen,
    /// A progress bar on a terminal, otherwise a line.
    Bar,
    /// One printed line.
    Line,
}

#[derive(clap::Args)]
pub(crate) struct Plain {
    /// Print plain lines also on a terminal: no live screen, no progress bar and no colours
    #[arg(long)]
    plain: bool,
}

impl Plain {
    /// What a run shows. Without `--plain`, it has a live screen on a terminal.
    pub(crate) fn shows(&self) -> Shows {
        if self.plain {
            anstream::ColorChoice::Never.write_global();
        }
        match self.plain {
            true => Shows::Line,
            false if stdout().is_terminal() && stderr().is_terminal() => Shows::Screen,
            false => Shows::Bar,
        }
    }
}

/// Runs a plan and shows its progress; `which` is its position among the plans. `None` if the user has ended it while there was
/// nothing to report yet.
pub(crate) async fn run_with_progress(
    lab: &Lab,
    plan: &Plan,
    which: &str,
    shows: Shows,
    ending: &Ending,
) -> anyhow::Result<Option<Run>> {
    let progress = Counts::ended_by(ending);
    let title = format!("{which}{}", plan.title());
    let run = progress.unless_ended(loadtest::run::run(lab, plan, progress.clone()));
    show(&title, plan, shows, &progress, run).await
}

/// Works and shows the progress of the plan's buyers. A scenario that is a script counts no buyers, so it has no live screen.
pub(crate) async fn show<T>(
    title: &str,
    plan: &Plan,
    shows: Shows,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> T {
    let is_a_crowd = plan.scenario.is_a_crowd();
    let shows = match shows {
        Shows::Screen if is_a_crowd || plan.scenario == Scenario::Flood => {
            let sampler = Sampler::new(title.to_owned(), plan, progress);
            if let Some(_screen) = Screen::open(sampler, &progress.ending) {
                return work.await;
            }
            Shows::Line
        }
        Shows::Screen => Shows::Bar,
        Shows::Bar | Shows::Line => shows,
    };
    let length = is_a_crowd.then_some(plan.buyers);
    with_progress(title, &plan.who(), length, shows == Shows::Bar, progress, work).await
}

/// Works with a progress bar if `has_bar` and this is a terminal, otherwise with one printed line. `length` is the number of buyers, if
/// it is known.
pub(crate) async fn with_progress<T>(
    title: &str,
    who: &str,
    length: Option<usize>,
    has_bar: bool,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> T {
    let template = match length {
        Some(_) => "{prefix} {wide_bar} {human_pos}/{human_len} buyers {elapsed}",
        None => "{prefix} {spinner} {msg} {elapsed}",
    };
    let bar = bar(template, length, has_bar, &format!("{title}: {who}"));
    let bar = bar.with_message(who.to_owned()).with_prefix(title.to_owned());
    let shown = async {
        loop {
            bar.set_position(progress.served.load(Relaxed) as u64);
            sleep(Duration::from_millis(100)).await;
        }
    };
    let done = tokio::select! {
        done = work => done,
        () = shown => unreachable!("it is shown until the work is done"),
    };
    bar.finish_and_clear();
    done
}

/// A progress line; hidden if standard error is not a terminal.
pub(crate) fn spinner(says: &str) -> ProgressBar {
    bar("{spinner} {msg} {elapsed}", None, true, says).with_message(says.to_owned())
}

/// Shows a message on a terminal if `moves`, or prints it once.
fn bar(template: &str, length: Option<usize>, moves: bool, says: &str) -> ProgressBar {
    let terminal = moves && stderr().is_terminal();
    if !terminal {
        note(format_args!("{says} …"));
    }
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length.map(|n| n as u64), target).with_style(style)
}
