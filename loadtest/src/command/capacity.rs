use std::time::Duration;

use anyhow::ensure;
use loadtest::{
    buyer::schedule::{MOST, Pattern, Schedule, per_second, seconds},
    capacity::{find, search::Search},
    lab::open_files,
    record::capacity::{Capacities, Capacity, Found, Limits},
    render::{
        capacity::{costs, disturbance, table, trials},
        page,
    },
    scenario::plan::Plan,
    version::Version,
};

use super::{
    database::{Database, in_lab_until_ended},
    exit::Exit,
    output::{Destination, Output},
    print::{print, room, say},
    progress::{Shows, run_with_progress},
    rounds::Rounds,
    variant::Variant,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The versions, for example v1 v2 v3 v6
    #[arg(required = true)]
    versions: Vec<Version>,

    #[command(flatten)]
    variant: Variant,

    /// The first rate to try; it is doubled or halved until one rate is served and one is not
    #[arg(long, default_value = "250/s", value_name = "RATE", value_parser = per_second)]
    from: f64,

    /// How long buyers come in each trial
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = seconds)]
    duration: Duration,

    /// How the buyers are spread
    #[arg(long, value_enum, default_value_t)]
    arrivals: Pattern,

    /// A rate is served if the p99 of all answers is at most this
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = seconds)]
    p99: Duration,

    /// A rate is served if at most this share of the buyers gets no unit, in percent
    #[arg(long, default_value = "1", value_name = "PERCENT", value_parser = percent)]
    errors: f64,

    /// A rate is served if orders are made at this share of it or more, in percent
    #[arg(long, default_value = "90", value_name = "PERCENT", value_parser = percent)]
    reached: f64,

    /// Instances of the shop
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=16))]
    instances: u32,

    /// Connections that the buyers share
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,

    /// Database connections of each instance [default: 16]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pool: Option<u32>,

    #[command(flatten)]
    rounds: Rounds,

    #[command(flatten)]
    database: Database,

    #[command(flatten)]
    output: Output,

    /// Further arguments for the shop, after --
    #[arg(last = true)]
    shop_args: Vec<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<Exit> {
    let plans = args.versions.iter().map(|&version| plan(&args, version)).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(args.duration >= Duration::from_secs(1), "--duration is too short for a rate: write 1s or more");
    ensure!(args.p99 > Duration::ZERO, "no shop answers in no time: write for example --p99 500ms");
    let schedule = |rate| Schedule::constant(rate, args.duration, args.arrivals);
    schedule(args.from)?;
    let search = Search::new(args.from, MOST / args.duration.as_secs_f64());
    let limits =
        Limits { p99_ms: args.p99.as_secs_f64() * 1e3, errors: args.errors / 100.0, reached: args.reached / 100.0 };
    let destination = Destination::new(args.output)?;
    open_files::allow(args.connections as usize * args.instances as usize)?;
    in_lab_until_ended(&args.database, async |lab, ending| {
        print(trials("", []).heads(room()));
        let (mut capacities, mut failed): (Vec<Capacity>, _) = (Vec::new(), None);
        for plan in args.rounds.of(&plans) {
            let title = plan.title();
            let play = async |plan: &Plan| {
                let run = Box::pin(run_with_progress(lab, plan, "", Shows::Bar, ending)).await?;
                Ok(run.filter(|_| ending.requested_at().is_none()))
            };
            let show = |trial: &_| print(trials(&title, [trial]).lines(room()));
            match find(&plan, limits, search.clone(), schedule, play, show).await {
                Ok(capacity) => capacities.extend(Some(capacity).filter(|capacity| !capacity.trials.is_empty())),
                Err(why) => {
                    failed = Some(why.context(title));
                    break;
                }
            }
            if ending.requested_at().is_some() {
                break;
            }
        }
        if !capacities.is_empty() {
            for table in [table(&capacities), costs(&capacities)] {
                print(format_args!("\n{}", table.terminal(room())));
            }
            disturbance(&capacities).into_iter().for_each(say);
            let file = Capacities::new(Found { seed: args.rounds.seed, limits, capacities });
            destination.write_both(&file, &page::capacity::report(&file))?;
        }
        failed.map_or(Ok(Exit::AsPromised), Err)
    })
    .await
}

/// Reads a share in percent, from 0 to 100.
fn percent(text: &str) -> Result<f64, String> {
    let share = text.strip_suffix('%').unwrap_or(text).trim().parse().ok();
    share.filter(|share| (0.0..=100.0).contains(share)).ok_or_else(|| "write a number from 0 to 100".into())
}

fn plan(args: &Args, version: Version) -> anyhow::Result<Plan> {
    let plan = Plan::stampede(version, args.variant.of(version)?);
    let plan = Plan {
        instances: args.instances as usize,
        connections: args.connections as usize,
        pool: args.pool.unwrap_or(plan.pool),
        shop_args: args.shop_args.clone(),
        ..plan
    };
    plan.check()?;
    Ok(plan)
}
