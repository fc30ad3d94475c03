use std::time::Instant;

use loadtest::{
    lab::{Lab, open_files},
    matrix, record,
    scenario::plan::Plan,
    version::Version,
};

use super::{
    database::{Database, in_lab},
    exit::Exit,
    output::{Destination, Output},
    progress::run_with_progress,
    rounds::Rounds,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Smaller crowds and shorter floods; takes less than two minutes
    #[arg(long)]
    quick: bool,

    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    rounds: Rounds,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let destination = Destination::new(args.output)?;
    let plans = args.rounds.of(&matrix::plans(args.quick));
    open_files::allow(plans.iter().map(Plan::sockets).max().unwrap_or_default())?;
    in_lab(&args.database, async |lab| {
        if let Some(lacking) = lab.lacks_for(Version::V6) {
            eprintln!("{lacking}.");
        }
        let runs = play(lab, &plans).await?;
        destination.conclude(args.rounds.seed, runs)
    })
    .await
}

/// Plays the cells whose servers are installed, one after the other, and prints an estimate of the time.
pub(crate) async fn play(lab: &Lab, plans: &[Plan]) -> anyhow::Result<Vec<record::Run>> {
    let start = Instant::now();
    let mut runs = Vec::new();
    let plans: Vec<_> = plans.iter().filter(|plan| lab.lacks_for(plan.version).is_none()).collect();
    for (done, plan) in plans.iter().enumerate() {
        let left = match done as u32 {
            0 => String::new(),
            n => format!(", {} s left", (start.elapsed() / n * (plans.len() - done) as u32).as_secs()),
        };
        runs.push(run_with_progress(lab, plan, &format!("[{}/{}{left}] ", done + 1, plans.len())).await?);
    }
    Ok(runs)
}
