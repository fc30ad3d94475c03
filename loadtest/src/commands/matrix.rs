use std::time::Instant;

use loadtest::{
    lab::{Lab, open_files},
    matrix, record,
    scenario::plan::Plan,
    version::Version,
};

use super::{Exit, in_lab, report::Destination, run_with_progress};
use crate::cli::Matrix;

pub(crate) async fn matrix(args: Matrix) -> anyhow::Result<Exit> {
    let destination = Destination::new(args.output)?;
    let plans: Vec<_> = matrix::plans(args.quick).into_iter().map(|plan| Plan { seed: args.seed, ..plan }).collect();
    open_files::allow(plans.iter().map(Plan::sockets).max().unwrap_or_default())?;
    in_lab(&args.database, async |lab| {
        if let Some(lacking) = lab.lacks_for(Version::V6) {
            eprintln!("{lacking}.");
        }
        let runs = play(lab, &plans).await?;
        destination.conclude(args.seed, runs)
    })
    .await
}

/// Plays the cells that there are servers for, one after the other, and says how long it will take.
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
