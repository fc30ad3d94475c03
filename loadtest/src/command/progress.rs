use std::{
    io::{IsTerminal, stderr},
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
    scenario::plan::Plan,
};
use tokio::time::sleep;

use super::ending::unless_ended;

/// Runs a plan and shows its progress; `which` is its position among the plans. `None` if the user has ended it while there was
/// nothing to report yet.
pub(crate) async fn run_with_progress(
    lab: &Lab,
    plan: &Plan,
    which: &str,
    ending: &Ending,
) -> anyhow::Result<Option<Run>> {
    let progress = Counts::ended_by(ending);
    let title = format!("{which}{}", plan.title());
    let run = unless_ended(&progress, loadtest::run::run(lab, plan, progress.clone()));
    // Only a crowd knows how many buyers have been served.
    let length = plan.scenario.is_a_crowd().then_some(plan.buyers);
    with_progress(&title, &plan.who(), length, &progress, run).await
}

/// Works with a progress bar on a terminal, otherwise with one printed line. `length` is the number of buyers, if it is known.
pub(crate) async fn with_progress<T>(
    title: &str,
    who: &str,
    length: Option<usize>,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> T {
    let template = match length {
        Some(_) => "{prefix:48} {bar:30} {human_pos}/{human_len} buyers {elapsed}",
        None => "{prefix:48} {spinner} {msg} {elapsed}",
    };
    let bar = bar(template, length, &format!("{title}: {who}"));
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
    bar("{spinner} {msg} {elapsed}", None, says).with_message(says.to_owned())
}

/// Shows a message on a terminal, or prints it once.
fn bar(template: &str, length: Option<usize>, says: &str) -> ProgressBar {
    let terminal = stderr().is_terminal();
    if !terminal {
        eprintln!("{says} …");
    }
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length.map(|n| n as u64), target).with_style(style)
}
