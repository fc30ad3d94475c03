use anyhow::ensure;
use loadtest::{
    open_files,
    record::{Record, check_writable},
    run::Plan,
    table,
};

use super::{Exit, in_lab, run_with_progress};
use crate::cli::{Run, Scenario};

pub(crate) async fn run(args: Run) -> anyhow::Result<Exit> {
    let plan = plan(&args)?;
    if let Some(file) = &args.json {
        check_writable(file)?;
    }
    open_files::allow(plan.connections)?;
    in_lab(&args.database, async |lab| {
        println!("{}", plan.describe());
        table::head();
        let mut runs = Vec::new();
        for round in 0..u64::from(args.rounds) {
            let plan = Plan { seed: plan.seed + round, ..plan.clone() };
            let run = run_with_progress(lab, &plan).await?;
            table::row(&plan.title(), &run);
            runs.push(run);
        }
        let exit = runs.iter().map(Exit::of).max().unwrap_or(Exit::AsPromised);
        if let Some(file) = &args.json {
            Record::new(plan.seed, runs).write(file)?;
        }
        Ok(exit)
    })
    .await
}

fn plan(args: &Run) -> anyhow::Result<Plan> {
    let known = args.version.variants();
    if let Some(variant) = &args.variant {
        ensure!(known.contains(variant), "{} has no variant {variant}; it has {}", args.version, known.join(", "));
    }
    Ok(Plan {
        bystander: args.scenario == Scenario::Bystander,
        buyers: args.buyers as usize,
        stock: args.stock.into(),
        sales: args.sales as usize,
        instances: args.instances as usize,
        connections: args.connections as usize,
        pool: args.pool,
        seed: args.seed,
        shop_args: args.shop_args.clone(),
        ..Plan::stampede(args.version, args.variant.as_deref())
    })
}
