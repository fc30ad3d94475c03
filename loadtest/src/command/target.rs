use anyhow::{Context, ensure};
use loadtest::{
    buyer::{
        ending::Ending,
        progress::{Counts, Progress},
    },
    lab::target::Target,
    record::Run,
    render::runs,
    run,
    scenario::plan::Plan,
};
use url::Url;

use super::{
    ending::Interrupts,
    exit::Exit,
    output::Destination,
    print::{print, room},
    progress::{Shows, show},
    run::say_first,
};

#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    /// A shop that already runs, for example http://127.0.0.1:3000. The version is what it is held to. Its database is not audited
    #[arg(long, value_name = "URL",
          conflicts_with_all = ["machines", "variant", "scenario", "stock", "sales", "instances", "nginx", "pool", "wide_limits", "shop_args"])]
    url: Option<Url>,

    /// The sale of that shop to buy from [default: 1]
    #[arg(long, value_name = "ID")]
    sale: Option<i64>,

    /// Allow a shop on another machine, which has to be yours to load
    #[arg(long)]
    allow_remote: bool,
}

impl TargetArgs {
    /// Whether a shop is named that already runs.
    ///
    /// # Errors
    /// None is, and yet something is said about it.
    pub(super) fn is_named(&self) -> anyhow::Result<bool> {
        let of_none = self.url.is_none() && (self.sale.is_some() || self.allow_remote);
        ensure!(
            !of_none,
            "--sale and --allow-remote are about a shop that already runs: add --url http://127.0.0.1:3000"
        );
        Ok(self.url.is_some())
    }
}

/// Drives a shop that already runs, until done or told to stop.
pub(super) async fn run(
    args: TargetArgs,
    plans: &[Plan],
    rounds: u32,
    shows: Shows,
    destination: &Destination,
) -> anyhow::Result<Exit> {
    let [plan] = plans else { anyhow::bail!("--url is one shop: name one version, that it is held to") };
    ensure!(rounds == 1, "--url plays one round: after it, the sale is another one");
    let (mut interrupts, ending) = (Interrupts::listen()?, Ending::default());
    let work = async {
        let progress = Counts::ended_by(&ending);
        let run = progress.unless_ended(drive(args, plan, shows, &progress)).await?;
        destination.conclude(plan.seed, run.into_iter().collect())
    };
    interrupts.end(&ending, work).await
}

/// Finds the shop, drives it, and prints the row of the run.
async fn drive(args: TargetArgs, plan: &Plan, shows: Shows, progress: &Progress) -> anyhow::Result<Run> {
    let url = args.url.context("--url is missing")?;
    let target = Target::find(url, args.sale.unwrap_or(1), args.allow_remote).await?;
    let sale = target.sale().await?;
    say_first(&plan.describe_against(&sale), &plan.load);
    let plan = &Plan { stock: sale.left(), ..plan.clone() };
    let title = format!("{} at {}", plan.title(), target.url);
    let play = run::against(&target, plan, progress.clone());
    let run = show(&title, plan, shows, progress, play).await?;
    print(runs::table([&run]).lines(room()));
    Ok(run)
}
