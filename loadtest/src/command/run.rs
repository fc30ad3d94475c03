use anyhow::ensure;
use loadtest::{
    buyer::{ending::Ending, schedule::Load},
    lab::{Lab, open_files},
    render::{page::runs::OMISSION, runs},
    scenario::{Scenario, plan::Plan},
    version::Version,
};

use super::{
    database::{Database, in_lab_until_ended, on_machines_until_ended},
    exit::Exit,
    load::LoadArgs,
    machines::MachinesArgs,
    output::{Destination, Output},
    print::{print, room, say},
    progress::{Plain, run_with_progress},
    rounds::Rounds,
    target::{self, TargetArgs},
    thresholds::Thresholds,
    variant::Variant,
};

/// What `--help` says about ending a run.
const ENDING: &str = "On a terminal, a live screen shows the run, and q ends it. Ctrl-C ends it, too: the buyers who wait are given up, \
                      and the audit and the report follow. A second Ctrl-C ends at once.";

#[derive(clap::Args)]
#[command(after_help = ENDING)]
pub(crate) struct Args {
    /// v1-naive, v2-pessimistic, v3-optimistic, v4-ratelimit, v5-hidden-api, v6-production; v1 … v6 for
    /// short. Several take turns
    #[arg(required = true)]
    versions: Vec<Version>,

    #[command(flatten)]
    variant: Variant,

    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    machines: MachinesArgs,

    #[command(flatten)]
    load: LoadArgs,

    /// What it is put through
    #[arg(long, value_enum, default_value_t = Scenario::Stampede)]
    scenario: Scenario,

    /// Buyers, each of whom asks once; or tries [default: 10,000 in a crowd, else as the scenario has it]. In an open loop, the
    /// rate and the time decide
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000_000), conflicts_with_all = ["rate", "stages"])]
    buyers: Option<u32>,

    /// Units of each sale [default: 100, in a flood plenty]
    #[arg(long)]
    stock: Option<u32>,

    /// Sales that the buyers are spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    sales: u32,

    /// Instances of the shop; the requests of a tab are sent to them in turn [default: 1, of two-instances 2, one on each machine]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    instances: Option<u32>,

    /// nginx in front of the instances, as chapter 6 is deployed: all buyers come through it, and open the page first
    #[arg(long)]
    nginx: bool,

    /// Connections that the buyers share
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,

    /// Database connections of each instance [default: 16, in a flood 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pool: Option<u32>,

    #[command(flatten)]
    rounds: Rounds,

    /// Make the limits of chapters 4 and 5 so wide that no request meets them, to measure what they cost
    #[arg(long)]
    wide_limits: bool,

    #[command(flatten)]
    thresholds: Thresholds,

    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    output: Output,

    #[command(flatten)]
    plain: Plain,

    /// Further arguments for the shop, after --
    #[arg(last = true)]
    shop_args: Vec<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let plans = args.versions.iter().map(|&version| plan(&args, version)).collect::<anyhow::Result<Vec<_>>>()?;
    if args.machines.are_asked_for() {
        ensure!(args.versions == [Version::V6], "--machines is about chapter 6's clusters: name v6 alone");
    }
    let machines = args.machines.start().await?;
    let (destination, shows) = (Destination::new(args.output)?, args.plain.shows());
    open_files::allow(plans.iter().map(Plan::sockets).max().unwrap_or_default())?;
    if args.target.is_named()? {
        return target::run(args.target, &plans, args.rounds.rounds, shows, &destination).await;
    }
    let work = async |lab: &Lab, ending: &Ending| {
        say_first(&plans[0].describe(), &plans[0].load);
        let (mut runs, mut failed) = (Vec::new(), None);
        for plan in args.rounds.of(&plans) {
            let run = match run_with_progress(lab, &plan, "", shows, ending).await {
                Ok(Some(run)) => run,
                Ok(None) => break,
                Err(why) => {
                    failed = Some(why.context(plan.title()));
                    break;
                }
            };
            print(runs::table([&run]).lines(room()));
            let is_over = args.thresholds.end_after(&run) || ending.requested_at().is_some();
            runs.push(run);
            if is_over {
                break;
            }
        }
        // A run that fails does not lose those before it.
        match failed {
            None => destination.conclude(args.rounds.seed, runs),
            Some(why) if runs.is_empty() => Err(why),
            Some(why) => destination.conclude(args.rounds.seed, runs).and(Err(why)),
        }
    };
    match machines {
        Some(machines) => on_machines_until_ended(machines, work).await,
        None => in_lab_until_ended(&args.database, work).await,
    }
}

/// What is about to happen, how an open loop counts, and the heads of the table.
pub(super) fn say_first(what: &str, load: &Load) {
    say(what);
    if matches!(load, Load::Open(_)) {
        say(OMISSION);
    }
    print(runs::table([]).heads(room()));
}

fn plan(args: &Args, version: Version) -> anyhow::Result<Plan> {
    let plan = Plan::new(version, args.variant.of(version)?, args.scenario);
    let plan = Plan {
        buyers: args.buyers.map_or(plan.buyers, |n| n as usize),
        stock: args.stock.map_or(plan.stock, i64::from),
        sales: args.sales as usize,
        instances: args.instances.map_or(plan.instances.max(args.machines.instances()), |n| n as usize),
        nginx: args.nginx || args.machines.are_asked_for(),
        connections: args.connections as usize,
        pool: args.pool.unwrap_or(plan.pool),
        shop_args: if args.wide_limits { version.wide_limits() } else { Vec::new() }
            .into_iter()
            .map(str::to_owned)
            .chain(args.shop_args.clone())
            .collect(),
        ..plan
    }
    .under(args.load.load()?);
    plan.check()?;
    Ok(args.thresholds.of(plan))
}
