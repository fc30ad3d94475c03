//! All buyers at once.

use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::{sync::watch, time::sleep};
use v1_naive::shop::sales::{Sale, now_ms};

use super::{
    Played, Scenario, Stage,
    bystander::{self, Beside},
    plan::Plan,
    restart,
    rules::Rules,
};
use crate::{
    buyer::{
        crowd::{self, Crowd, Stampede},
        open_loop::Visitors,
        progress::Progress,
        schedule::Load,
    },
    lab::{FreshDatabase, Lab, shop_process::ShopProcess},
    record::{Measure, OpenLoop},
    verdict::{
        audit::{Audit, Demand},
        history::{Told, told},
    },
};

/// How long before the click a buyer of an open loop opens the page, if the version needs steps before the purchase.
const READS: Duration = Duration::from_secs(1);

/// The shortest time that an open loop is taken to have lasted, if it ends before the first click.
const SHORTEST: Duration = Duration::from_millis(1);

/// Plays a scenario with a crowd. `at_barrier` is called before the first buyer clicks.
///
/// # Errors
/// A server fails, or a shop goes away or does not come back.
pub async fn play(
    lab: &Lab,
    stage: &Stage<'_>,
    database: &FreshDatabase,
    shops: &mut [ShopProcess],
    at_barrier: impl AsyncFnOnce(),
) -> anyhow::Result<Played> {
    let (plan, progress) = (stage.plan, &stage.progress);
    let sales: Vec<i64> = (stage.sale..).take(plan.sales).collect();
    stage.put_up(&sales.iter().map(|&sale| Sale::open(sale, plan.stock)).collect::<Vec<_>>()).await?;
    let stock = plan.stock * plan.sales as i64;
    let [is_watched, is_struck] = [Scenario::Bystander, Scenario::Restart].map(|scenario| plan.scenario == scenario);
    let (let_in, gate) = watch::channel(restart::first_wave(stock));
    let crowd = Crowd {
        shops: stage.shops.to_vec(),
        sales: sales.clone(),
        buyers: plan.buyers,
        connections: plan.connections,
        seed: plan.seed,
        opens_the_page: plan.nginx,
        gate: is_struck.then_some(gate),
        early: plan.early(),
    };
    let mut watched = None;
    if is_watched {
        let server = lab.admin().map(|admin| (admin.clone(), database.name().to_owned()));
        watched = Some(Beside::begin(stage, server).await?);
    }
    let strike = async {
        if is_struck {
            let struck = restart::strike(&mut shops[0], stock, progress.clone(), let_in);
            tokio::select! {
                struck = struck => struck.context("the shop does not come back")?,
                () = progress.ending.requested() => {}
            }
        }
        anyhow::Ok(())
    };
    // Whichever fails ends the other, which would wait for it.
    let ((stampede, open_loop), ()) = tokio::try_join!(come(plan, &crowd, progress.clone(), at_barrier), strike)?;
    let bystander = match watched {
        Some(watched) => Some(watched.end(stage).await?),
        None => None,
    };
    // Only the first wave can have had a request under way when the shop was killed.
    let first_wave = if is_struck { restart::first_wave(stock) } else { 0 };
    let cut_off = told(&stampede.history, "unknown").min(first_wave);
    Ok(Played {
        demand: Demand { may_go_without: cut_off as i64, ..Demand::default() },
        history: stampede.history,
        sales,
        requests: stampede.requests,
        elapsed: stampede.elapsed,
        began_at: Some(stampede.began_at),
        measure: bystander.as_ref().map(|bystander| bystander::Outcome::of(bystander).measure()),
        stopped: stampede.stopped,
        invalid: bystander.as_ref().and_then(bystander::invalid).or_else(|| open_loop.as_ref()?.invalid()),
        bystander,
        open_loop,
        ..Played::default()
    })
}

/// Lets the buyers of a crowd come as the plan's load says, and returns the arrivals of an open loop, too. In an open loop, a buyer follows
/// the links up to the one that takes a unit shortly before the click is due.
///
/// # Errors
/// A shop does not answer, or goes away.
pub(crate) async fn come(
    plan: &Plan,
    crowd: &Crowd,
    progress: Progress,
    at_barrier: impl AsyncFnOnce(),
) -> anyhow::Result<(Stampede, Option<OpenLoop>)> {
    let Load::Open(schedule) = &plan.load else {
        return Ok((crowd::run(crowd, progress, at_barrier).await?, None));
    };
    let prepares = plan.version.hides_the_address() || crowd.opens_the_page;
    let reads = if prepares { READS } else { Duration::ZERO };
    let visitors = Visitors {
        sales: crowd.sales.clone(),
        schedule: schedule.clone(),
        seed: crowd.seed,
        connections: crowd.connections,
        reads,
        opens_the_page: crowd.opens_the_page,
        progress: progress.clone(),
        early: crowd.early.clone(),
        ..Visitors::steady(&crowd.shops, crowd.sales[0], 1.0)
    };
    progress.begin();
    let began_at = now_ms() + reads.as_millis() as i64;
    let (_stop, stopped) = watch::channel(false);
    // What is measured begins with the first click.
    let visits = if reads.is_zero() {
        at_barrier().await;
        visitors.come(stopped).await?
    } else {
        let first_click = async {
            sleep(reads).await;
            at_barrier().await;
            Ok(())
        };
        tokio::try_join!(visitors.come(stopped), first_click)?.0
    };
    let lasts = visits.lasted.max(SHORTEST).min(schedule.lasts());
    let open_loop = OpenLoop::of(&visits, lasts);
    let last = visits.history.iter().map(|told| told.answered).max().unwrap_or_default();
    let missing = plan.buyers.saturating_sub(open_loop.arrivals.planned);
    let stopped = progress.ended().or(visits.stopped).map(|why| crowd::stopped(why, missing));
    let elapsed = last.max(lasts);
    Ok((Stampede { history: visits.history, requests: visits.requests, began_at, elapsed, stopped }, Some(open_loop)))
}

/// Counts the units that are oversold, left over or lost, and the buyers who were refused at a URL that the shop itself had given them. A
/// crowd is served well if the sum is 0.
pub(crate) fn measure(audit: &Audit, history: &[Told]) -> Measure {
    let wrong = audit.oversold + audit.undersold + audit.lost_promises;
    let turned_away = told(history, "wrong-path");
    Measure::none_of("units oversold, unsold or lost, and honest buyers turned away", wrong as usize + turned_away)
}

/// All buyers at once.
pub(crate) struct StampedeRules;

impl Rules for StampedeRules {}

/// All buyers at once, on two instances.
pub(crate) struct TwoInstancesRules;

impl Rules for TwoInstancesRules {
    fn plan(&self, stampede: Plan) -> Plan {
        Plan { instances: 2, ..stampede }
    }

    fn check(&self, plan: &Plan) -> anyhow::Result<()> {
        ensure!(plan.instances > 1, "two-instances needs --instances 2 or more");
        Ok(())
    }
}
