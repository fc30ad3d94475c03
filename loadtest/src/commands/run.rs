use loadtest::{lab::open_files, scenario::plan::Plan, table, version::Version};

use super::{Exit, in_lab, report::Destination, run_with_progress};
use crate::cli::Run;

pub(crate) async fn run(args: Run) -> anyhow::Result<Exit> {
    let plans = args.versions.iter().map(|&version| plan(&args, version)).collect::<anyhow::Result<Vec<_>>>()?;
    let destination = Destination::new(args.output)?;
    open_files::allow(plans.iter().map(Plan::sockets).max().unwrap_or_default())?;
    in_lab(&args.database, async |lab| {
        println!("{}", plans[0].describe());
        table::head();
        let mut runs = Vec::new();
        for round in 0..u64::from(args.rounds) {
            for plan in &plans {
                let plan = Plan { seed: args.seed + round, ..plan.clone() };
                let run = run_with_progress(lab, &plan, "").await?;
                table::row(&run);
                runs.push(run);
            }
        }
        destination.conclude(args.seed, runs)
    })
    .await
}

fn plan(args: &Run, version: Version) -> anyhow::Result<Plan> {
    let plan = Plan::new(version, super::variant(version, args.variant.as_deref())?, args.scenario);
    let plan = Plan {
        buyers: args.buyers.map_or(plan.buyers, |n| n as usize),
        stock: args.stock.map_or(plan.stock, i64::from),
        sales: args.sales as usize,
        instances: args.instances.map_or(plan.instances, |n| n as usize),
        nginx: args.nginx,
        connections: args.connections as usize,
        pool: args.pool.unwrap_or(plan.pool),
        seed: args.seed,
        shop_args: if args.wide_limits { version.wide_limits() } else { Vec::new() }
            .into_iter()
            .map(str::to_owned)
            .chain(args.shop_args.clone())
            .collect(),
        ..plan
    };
    plan.check()?;
    Ok(plan)
}
