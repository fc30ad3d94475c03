//! One sale, and one fault in the middle of it.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context;
use sqlx::AnyPool;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use v1_naive::shop::sales::Sale;

use super::{
    Fault,
    links::Links,
    probe::{self, Walk},
    strike::Target,
};
use crate::{
    buyer::{
        crowd::{self, Crowd},
        payers::{Heard, Payers},
        progress::Progress,
    },
    lab::{
        Lab,
        deployment::{Deployment, addresses},
        servers::Services,
    },
    provider::Remote,
    record::faults::{Round, Strike, Verdict},
    scenario::plan::Plan,
    verdict::{
        audit::audit,
        history::{Told, outcomes},
        ledger::Ledger,
        money,
    },
};

/// The sale.
const SALE: i64 = 1001;
/// A card that pays, and one whose bank decides later.
const GOOD: &str = "4242 4242 4242 4242";
const LATE: &str = "4000 0000 0000 0119";
/// How long an order may stay unpaid in a sale where buyers pay.
const PAY_WITHIN: &str = "--pay-within=8";
/// Buyers get their addresses before the sale begins, and the last ones use them when the fault is over. On a busy machine that is
/// more than the minute for which an address is good otherwise.
const PATH_TTL: &str = "--path-ttl=900";
/// How long the first confirmed order may take when what broke is up again. Then it is said not to come.
const LONGEST: Duration = Duration::from_secs(60);

/// Sells one sale to the crowd of `plan` on fresh shops, strikes when a quarter of the stock is sold, and audits what came
/// of it. `lab` is one [on](Lab::on) `services`; `doors` says where buyers come in, given where the shops listen.
///
/// A gate holds the crowd up, so that no strike comes too late, however long it takes. Before the strike, so many buyers may come
/// that five eighths of the stock are left; until the fault is in place, so many that half is left; while it is broken, so many that
/// a quarter is left. All the others come when what was struck is up again, and try to buy while the shop recovers. After the first
/// confirmed order an instance is brought back that the sale had to do without, and a last wave comes, as many as there are units
/// left: a shop that sells again has to sell all of them.
///
/// # Errors
/// A server or an instance does not start again, or the crowd cannot come.
pub async fn round(
    lab: &Lab,
    services: &mut Services,
    fault: Fault,
    plan: &Plan,
    progress: Progress,
    doors: impl AsyncFnOnce(Vec<SocketAddr>) -> Vec<SocketAddr>,
) -> anyhow::Result<Round> {
    let mut links = Vec::new();
    let mut deployment = Deployment::build_with(lab, plan, async |args| {
        args.push(PATH_TTL.into());
        if fault.is_about_money() {
            args.push(PAY_WITHIN.into());
        }
        if fault.needs_links() {
            links.push(Links::between(args).await?);
        }
        Ok(())
    })
    .await?;
    let played = play(&mut deployment, &links, (&lab.loadtest, services), fault, plan, progress, doors).await;
    deployment.stop_shops().await; // before the audit: whoever was given up by a buyer may still be writing
    let round = match played {
        Ok((history, heard, strike)) => conclude(fault, plan, &deployment, (&history, &heard), strike).await,
        Err(error) => Err(error),
    };
    let removed = deployment.remove(lab).await;
    let round = round?; // the first error is the one that counts
    removed.map(|()| round)
}

/// The sale and the strike.
async fn play(
    deployment: &mut Deployment,
    links: &[Links],
    keeper: (&Path, &mut Services),
    fault: Fault,
    plan: &Plan,
    progress: Progress,
    doors: impl AsyncFnOnce(Vec<SocketAddr>) -> Vec<SocketAddr>,
) -> anyhow::Result<(Vec<Told>, Vec<Heard>, Strike)> {
    let come = Come::of(plan);
    let (let_in, gate) = watch::channel(come.first);
    let (pool, addresses) = (deployment.pool.clone(), addresses(&deployment.shops));
    let mut target = Target::new(keeper, deployment, links, (SALE, plan.seed), (&let_in, come.before)).await?;
    let stores = target.stores;
    stores.put_up(target.database, &[Sale::open(SALE, plan.stock)]).await?;
    fault.prepare(&mut target).await?;
    let doors = doors(addresses).await;

    let mut paying = JoinSet::new();
    let (paid, until) = oneshot::channel();
    if fault.is_about_money() {
        let card = if fault == Fault::ProviderLate { LATE } else { GOOD };
        let buyers = Payers::known_as((1..=plan.buyers as i64).chain(probe::buyers(plan.stock)));
        paying.spawn(Payers { doors: doors.clone().into(), pool: pool.clone(), sale: SALE, card, buyers }.serve(until));
    }
    let crowd = Crowd {
        shops: doors.clone(),
        sales: vec![SALE],
        buyers: plan.buyers,
        connections: plan.connections,
        seed: plan.seed,
        gate: Some(gate),
        ..Crowd::default()
    };
    let (barrier, fallen) = oneshot::channel();
    let struck = async {
        let began: Instant = fallen.await?;
        progress.reach(plan.stock / 4, come.first).await;
        let walk = Walk { doors: doors.into(), sale: SALE, began, progress: progress.clone(), queued: Arc::default() };
        strike(fault, target, walk, &come, &let_in, (plan.stock, &pool)).await
    };
    let at_barrier = async || {
        let _ = barrier.send(Instant::now()); // nobody listens if the strike has failed
    };
    // Whichever fails ends the other, which would wait for it.
    let (stampede, (mut history, strike)) = tokio::try_join!(crowd::run(&crowd, progress.clone(), at_barrier), struck)?;
    history.extend(stampede.history);
    // RabbitMQ believes in a lost worker until two heartbeats are missing. Then the messages in its hands come again.
    let ended = Instant::now();
    while links.iter().any(|links| links.rabbitmq.lost_at_server() > 0) && ended.elapsed() < LONGEST {
        sleep(Duration::from_millis(50)).await;
    }
    let heard = settle(paid, paying, &pool).await?;
    stores.wait_until_quiet(&pool, &[SALE]).await?;
    Ok((history, heard, strike))
}

/// Waits until whoever pays has an answer, what was not paid has expired, and no payment owes the provider anything; or for too long.
/// Returns what buyers were told of their payments.
async fn settle(
    paid: oneshot::Sender<()>,
    mut paying: JoinSet<anyhow::Result<Vec<Heard>>>,
    pool: &AnyPool,
) -> anyhow::Result<Vec<Heard>> {
    if paying.is_empty() {
        return Ok(Vec::new());
    }
    let (began, left) = (
        Instant::now(),
        "select (select count(*) from orders where status = 'confirmed')
        + (select count(*) from payments where owes is not null)",
    );
    while sqlx::query_scalar::<_, i64>(left).fetch_one(pool).await? > 0 && began.elapsed() < LONGEST {
        sleep(Duration::from_millis(50)).await;
    }
    drop(paid);
    paying.join_next().await.context("nobody has paid")??
}

/// How many buyers of the crowd may have come.
struct Come {
    /// Before the strike.
    first: usize,
    /// Before the fault is in place: each takes a unit at most, so half of the stock is left.
    before: usize,
    /// While it is broken.
    meanwhile: usize,
}

impl Come {
    fn of(plan: &Plan) -> Come {
        let share = |units: i64, buyers: usize| buyers.min(units as usize);
        let (before, meanwhile) = (share(plan.stock / 2, plan.buyers / 4), share(plan.stock / 4 * 3, plan.buyers / 2));
        Come { first: (before * 3 / 4).max(1), before, meanwhile }
    }
}

/// Breaks it, makes sure that it is broken, mends it, and lets buyers come in between. Returns what those were told who come one
/// by one, and what was done.
async fn strike(
    fault: Fault,
    mut target: Target<'_>,
    walk: Walk,
    come: &Come,
    let_in: &watch::Sender<usize>,
    (stock, pool): (i64, &AnyPool),
) -> anyhow::Result<(Vec<Told>, Strike)> {
    let progress = walk.progress.clone();
    fault.arm(&mut target).await?;
    let struck = Instant::now();
    let mut strike = Strike {
        struck_ms: ms(struck - walk.began),
        in_flight: progress.asking.load(Relaxed),
        unconfirmed: progress.unconfirmed(),
        ..Strike::default()
    };
    fault.strike(&mut target).await?;
    let is_in_place = fault.comes_into_place(&mut target).await?;
    strike.seen = std::mem::take(&mut target.seen);
    if !is_in_place {
        // Something may be broken, though not what was meant.
        let _ = fault.mend(&mut target).await;
        let _ = fault.bring_back(&mut target).await;
        let_in.send_replace(usize::MAX);
        return Ok((Vec::new(), strike));
    }
    strike.sold = progress.sold_at_most();
    strike.in_place_ms = Some(ms(progress.fault_is_in_place() - struck));
    let_in.send_replace(come.meanwhile);

    let (end, until) = oneshot::channel();
    let mut probing = JoinSet::new(); // apart, because we block while a server starts; and it ends with us
    probing.spawn(walk.clone().probe(until));
    fault.mend(&mut target).await?;
    let mended = Instant::now();
    strike.mended_ms = Some(ms(mended - struck));
    let_in.send_replace(usize::MAX);

    let confirmed = timeout(LONGEST, progress.until_confirmed()).await;
    drop(end);
    let back = fault.bring_back(&mut target).await?;
    strike.back_ms = back.map(|()| ms(struck.elapsed()));
    let mut history = Vec::new();
    if let (Ok(()), Some(first)) = (confirmed, progress.first_confirmed()) {
        strike.confirmed_ms = Some(ms(first - struck));
        strike.confirmed_after_mended_ms = Some(ms(first.saturating_duration_since(mended)));
        let sold = Ledger::read(pool, None, &[SALE]).await?.orders.len() as i64;
        history = walk.last_wave(stock - sold).await;
    }
    history.extend(probing.join_next().await.context("nobody has tried")???);
    Ok((history, strike))
}

async fn conclude(
    fault: Fault,
    plan: &Plan,
    deployment: &Deployment,
    (history, heard): (&[Told], &[Heard]),
    strike: Strike,
) -> anyhow::Result<Round> {
    let mut ledger = Ledger::read(&deployment.pool, deployment.stores.as_ref(), &[SALE]).await?;
    let money = match &deployment.stores {
        Some(stores) if fault.is_about_money() => {
            let ours = Remote::new(&stores.provider).entries_of(&stores.namespace).await?;
            Some(money::audit(&ours, &money::orders(&deployment.pool, SALE).await?, heard))
        }
        _ => None,
    };
    if let (Some(stores), Some(seen)) = (&deployment.stores, &mut ledger.stores) {
        seen.unfinished -= stores.repeated(&deployment.pool, SALE).await?;
    }
    let audit = audit(history, &ledger);
    Ok(Round {
        stock: plan.stock,
        buyers: plan.buyers,
        instances: plan.instances,
        seed: plan.seed,
        verdict: match &money {
            Some(money) if !money.is_sound() => Verdict::Broken,
            Some(_) | None => strike.judge(fault, plan.stock, &audit),
        },
        strike,
        audit,
        money,
        outcomes: outcomes(history),
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;
