use std::time::Instant;

use loadtest::{
    buyer::ending::Ending,
    lab::{Lab, open_files},
    matrix, record,
    scenario::plan::Plan,
    version::Version,
};

use super::{
    database::{Database, in_lab_until_ended},
    exit::Exit,
    output::{Destination, Output},
    print::note,
    progress::{Shows, run_with_progress},
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
    in_lab_until_ended(&args.database, async |lab, ending| {
        if let Some(lacking) = lab.lacks_for(Version::V6) {
            note(format_args!("{lacking}."));
        }
        let runs = play(lab, &plans, ending).await?;
        destination.conclude(args.rounds.seed, runs)
    })
    .await
}

/// Plays the cells whose servers are installed, one after the other, and prints an estimate of the time. Stops when the user
/// requests the end.
pub(crate) async fn play(lab: &Lab, plans: &[Plan], ending: &Ending) -> anyhow::Result<Vec<record::Run>> {
    let start = Instant::now();
    let mut runs = Vec::new();
    let plans: Vec<_> = plans.iter().filter(|plan| lab.lacks_for(plan.version).is_none()).collect();
    for (done, plan) in plans.iter().enumerate() {
        let left = match done as u32 {
            0 => String::new(),
            n => format!(", {} s left", (start.elapsed() / n * (plans.len() - done) as u32).as_secs()),
        };
        let which = format!("[{}/{}{left}] ", done + 1, plans.len());
        runs.extend(run_with_progress(lab, plan, &which, Shows::Bar, ending).await?);
        if ending.requested_at().is_some() {
            break;
        }
    }
    Ok(runs)
}
