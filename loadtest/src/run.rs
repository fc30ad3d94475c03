//! One run from start to end: a fresh database, the shops, the scenario, the audit, the verdict.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::{Context, Error};
use tokio::time::{sleep, timeout};

use crate::{
    buyer::{ending::Ending, progress::Progress, schedule::Load},
    lab::{
        FreshDatabase, Lab,
        database::Database,
        deployment::{Deployment, addresses},
        machines::State,
        observe,
        shop_process::ShopProcess,
        stores::Stores,
        usage::{Processors, Sampler},
    },
    record::{Calibration, Consumer, Edge, Latencies, Run, Times, Usage, times_by_outcome},
    render::text::percent,
    scenario::{self, Played, Scenario, Stage, calibration, plan::Plan, stampede},
    verdict::{
        Verdict,
        audit::{Audit, audit_for},
        history::{Answer, outcomes, oversold_after, timeline},
        judge,
        latency::Latency,
        ledger::Ledger,
    },
};

mod target;

pub use self::target::against;

/// The id of the first sale of a run. The shop's own sale has a lower id.
const FIRST_SALE: i64 = 1001;
/// If the generator takes a greater share of the machine than this, it is the bottleneck.
const GENERATOR_SHARE: f64 = 0.5;
/// If other programs take more of the machine than this, times are not those of the shop.
const OTHERS_SHARE: f64 = 0.25;
/// In a shorter run, the share of a processor means nothing.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// How long a server may take for each report.
const TO_REPORT: Duration = Duration::from_secs(30);
/// The same after the user has ended the run.
const TO_REPORT_AT_ONCE: Duration = Duration::from_secs(5);
/// How long the reservations may take to become orders.
const TO_SETTLE: Duration = Duration::from_secs(90);

/// Runs a plan. `progress` counts the buyers who are served.
///
/// # Errors
/// The shop does not start or goes away, a server fails, or the version lacks what the scenario attacks.
pub async fn run(lab: &Lab, plan: &Plan, progress: Progress) -> anyhow::Result<Run> {
    plan.check()?;
    let is_flood = plan.scenario == Scenario::Flood;
    let calibration = if is_flood { Box::pin(calibration::capacity(lab)).await? } else { Calibration::default() };
    let mut deployment = Box::pin(Deployment::build(lab, plan)).await?;
    let watched = Box::pin(watch_play(lab, plan, &mut deployment, calibration, progress)).await;
    // Stopped before the audit: whoever was given up by a buyer may still be writing.
    deployment.stop_shops().await;
    let run = match watched {
        Ok(watched) => conclude(plan, &deployment, watched).await,
        Err(error) => Err(error),
    };
    deployment.remove(lab).await?;
    run
}

/// The result of a scenario, and what was measured from outside meanwhile.
struct Watched {
    played: Played,
    counters: BTreeMap<String, u64>,
    nginx: Option<Edge>,
    statements: Option<i64>,
    generator_share: f64,
    usage: Option<Usage>,
    /// An engine that failed over although nothing was struck, in words.
    failover: Option<String>,
    /// Whether the generator was the bottleneck. False if other work runs in its process, because then this is unknown.
    is_bottleneck: bool,
}

async fn watch_play(
    lab: &Lab,
    plan: &Plan,
    deployment: &mut Deployment,
    calibration: Calibration,
    progress: Progress,
) -> anyhow::Result<Watched> {
    let (doors, nginx) = (deployment.doors(), deployment.nginx.as_ref().map(|nginx| nginx.address));
    let Deployment { database, stores, pool, shops, .. } = deployment;
    progress.shows(pool);
    let addresses = addresses(shops);
    let pids: Vec<u32> = shops.iter().filter_map(ShopProcess::pid).collect();
    let stores = stores.as_ref();
    let sampler = match (&plan.load, lab.admin()) {
        (Load::Open(_), Some(admin)) => Some(Sampler::begin(admin.clone(), database.name().to_owned())),
        (Load::Open(_), None) | (Load::Closed, _) => None,
    };
    let stage = Stage { shops: &doors, pool, database: &database.url, stores, plan, sale: FIRST_SALE, progress };
    let baseline = async || Baseline::take(lab, database, stores, &addresses, &pids).await;
    let mut before = baseline().await;
    let led = State::now(lab.machines()).await?;
    let at_barrier = async || before = baseline().await;
    let played = Box::pin(scenario::play(lab, &stage, database, shops, calibration, at_barrier)).await?;
    let processors = Processors::read(&pids);
    let generator_share = before.processors.own_share_until(&processors);
    let sessions = match sampler {
        Some(sampler) => sampler.average_since(&before.processors).await,
        None => None,
    };
    let ending = &stage.progress.ending;
    let is_stopped = played.stopped.is_some();
    if let Some(stores) = stores {
        unless_silent(is_stopped, ending, TO_SETTLE, stores.wait_until_quiet(pool, &played.sales)).await?;
    }
    let statements = observe::statements(lab.admin(), database.name()).await;
    let redis_commands = before.redis_commands.zip(redis_commands(stores).await).map(|(before, after)| after - before);
    let usage = before.processors.until(&processors).map(|(processor_seconds, of_seconds)| Usage {
        processor_seconds,
        of_seconds,
        sessions,
        redis_commands,
    });
    // An instance may be away, and its counters have died with it.
    let were_struck = lab.machines().is_some_and(|machines| machines.were_struck());
    let nginx = match nginx.filter(|_| !were_struck) {
        Some(nginx) => unless_silent(is_stopped, ending, TO_REPORT, observe::edge(nginx, &addresses)).await?,
        None => None,
    };
    let counters = match plan.scenario == Scenario::Restart || were_struck {
        true => BTreeMap::new(), // they died with the process that counted
        false => {
            let counters = unless_silent(is_stopped, ending, TO_REPORT, observe::counters(&addresses)).await?;
            since(&before.counters, counters.unwrap_or_default())
        }
    };
    let statements = before.statements.zip(statements).map(|(before, after)| after - before);
    let is_bottleneck = !lab.shares_process && generator_share > GENERATOR_SHARE;
    let failover = match were_struck {
        true => Some("a machine was killed by hand".into()),
        false => led.zip(State::now(lab.machines()).await?).and_then(|(before, after)| before.changed_to(&after)),
    };
    Ok(Watched { failover, played, counters, nginx, statements, generator_share, usage, is_bottleneck })
}

/// A server's report after a run, within this time. `None` if the run was stopped before its end and the server does not answer, which may be
/// why it was stopped.
async fn unless_silent<T>(
    is_stopped: bool,
    ending: &Ending,
    within: Duration,
    report: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<Option<T>> {
    let given_up = async {
        ending.requested().await;
        sleep(TO_REPORT_AT_ONCE).await;
    };
    let reported = tokio::select! {
        reported = timeout(within, report) => reported.map_err(Error::from).flatten(),
        () = given_up => return Ok(None),
    };
    match reported {
        Err(_) if is_stopped || ending.requested_at().is_some() => Ok(None),
        reported => reported.map(Some).context("the shop does not answer after the load"),
    }
}

/// The audit and the verdict.
async fn conclude(plan: &Plan, deployment: &Deployment, watched: Watched) -> anyhow::Result<Run> {
    let played = &watched.played;
    let ledger = Ledger::read(&deployment.pool, deployment.stores.as_ref(), &played.sales).await?;
    let audit = audit_for(&played.history, &ledger, &played.demand);
    let reservations = match deployment.stores {
        Some(_) => observe::reservations(&deployment.pool, &played.sales, played.began_at).await?,
        None => None,
    };
    let kind = deployment.database.kind;
    Ok(Run { reservations, database: Some(kind), ..judged(plan, watched, audit, kind) })
}

/// The run with its verdict.
fn judged(plan: &Plan, watched: Watched, audit: Audit, database: Database) -> Run {
    let Watched { played, counters, nginx, statements, generator_share, usage, failover, is_bottleneck } = watched;
    let Played { history, requests, elapsed, .. } = played;
    let measure = played.measure.or_else(|| plan.scenario.is_a_crowd().then(|| stampede::measure(&audit, &history)));
    let promised = plan.promised(database);
    let too_slow = plan.scenario.is_a_crowd() && is_bottleneck && elapsed >= LONG_ENOUGH;
    let too_slow = too_slow.then(|| "the generator was the bottleneck".to_owned());
    let invalid = played.stopped.or(failover).or(too_slow).or(played.invalid);
    let (seconds, is_a_crowd) = (elapsed.as_secs_f64(), plan.scenario.is_a_crowd());
    let mut run = Run {
        version: plan.version,
        variant: plan.variant,
        without: plan.without.clone(),
        scenario: plan.scenario,
        url: None,
        load: plan.load.clone(),
        database: None,
        instances: plan.instances,
        buyers: played.open_loop.as_ref().map_or(plan.buyers, |came| came.arrivals.planned),
        stock: plan.stock * plan.sales as i64,
        sales: plan.sales,
        connections: plan.connections.min(plan.buyers),
        pool: Some(plan.pool),
        shop_args: plan.further_args(),
        seed: plan.seed,
        outcomes: outcomes(&history),
        requests,
        seconds,
        requests_per_second: requests as f64 / seconds,
        latency_ms: Latencies {
            bought: Latency::of(&history, |answer| matches!(answer, Answer::Bought { .. })),
            refused: Latency::of(&history, |answer| matches!(answer, Answer::Refused(_))),
        },
        times_ms: if is_a_crowd { Times::of(&history) } else { None },
        outcome_ms: times_by_outcome(&history),
        open_loop: played.open_loop,
        timeline: if is_a_crowd { timeline(&history) } else { Vec::new() },
        oversold_after_ms: match plan.sales {
            1 if is_a_crowd => oversold_after(&history, plan.stock).map(|moment| moment.as_secs_f64() * 1e3),
            _ => None, // each sale has its own
        },
        statements_per_order: statements
            .filter(|_| audit.orders > 0)
            .map(|statements| statements as f64 / audit.orders as f64),
        reservations: None,
        nginx,
        counters,
        bystander: played.bystander,
        flood: played.flood,
        measure,
        generator_share,
        usage,
        honest: played.honest,
        promised,
        verdict: Verdict::Measured,
        thresholds: Vec::new(),
        audit,
    };
    run.verdict = judge(promised, &run.evidence(), invalid, disturbance(plan, run.usage.as_ref()));
    run.thresholds = plan.fail_if.iter().map(|threshold| threshold.check(&run)).collect();
    run
}

/// Why a time that was measured may be wrong; `None` if other programs took little of the machine.
fn disturbance(plan: &Plan, usage: Option<&Usage>) -> Option<String> {
    let others = usage?.share(Consumer::Others);
    // A mutant is slow by itself.
    let may_be_wrong = plan.scenario.is_about_time() && plan.mutant.is_none() && others > OTHERS_SHARE;
    may_be_wrong.then(|| format!("other programs took {} of the processors", percent(others, 1.0)))
}

/// What was counted before the first request of interest.
struct Baseline {
    statements: Option<i64>,
    redis_commands: Option<u64>,
    counters: BTreeMap<String, u64>,
    processors: Processors,
}

impl Baseline {
    async fn take(
        lab: &Lab,
        database: &FreshDatabase,
        stores: Option<&Stores>,
        shops: &[SocketAddr],
        pids: &[u32],
    ) -> Baseline {
        Baseline {
            statements: observe::statements(lab.admin(), database.name()).await,
            redis_commands: redis_commands(stores).await,
            counters: observe::counters(shops).await.unwrap_or_default(),
            processors: Processors::read(pids),
        }
    }
}

/// `None` if there is no Redis, or it does not answer.
async fn redis_commands(stores: Option<&Stores>) -> Option<u64> {
    Some(observe::redis(stores?).await.ok()?.commands)
}

fn since(before: &BTreeMap<String, u64>, mut now: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    for (name, count) in &mut now {
        *count -= before.get(name).copied().unwrap_or_default().min(*count);
    }
    now.retain(|_, count| *count > 0);
    now
}
