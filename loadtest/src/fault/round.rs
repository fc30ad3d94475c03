//! One round: one sale with one fault in the middle.

mod come;
mod end;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, anyhow};
use sqlx::AnyPool;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use v1_naive::shop::sales::Sale;

use self::{
    come::Come,
    end::{conclude, settle},
};
use super::{
    Fault, MachineFault,
    blow::{Blow, Ground, Payments},
    links::Links,
    probe::{self, Walk},
};
use crate::{
    buyer::{
        click::open_sale,
        client::Connection,
        crowd::{self, Crowd},
        payers::{Heard, Payers},
        progress::Progress,
    },
    lab::{Lab, deployment::Deployment, servers::Services},
    record::faults::{Round, Strike},
    scenario::plan::Plan,
    verdict::{history::Told, ledger::Ledger},
};

/// The sale's id.
const SALE: i64 = 1001;
/// A card that is accepted, and one that the bank decides on later.
const GOOD: &str = "4242 4242 4242 4242";
const LATE: &str = "4000 0000 0000 0119";
/// How long the first confirmed order may take after the repair. After that the shop counts as not recovered.
const LONGEST: Duration = Duration::from_secs(60);

/// Plays one sale on fresh shops: strikes when a quarter of the stock is sold, and audits the result. `lab` must be [on](Lab::on)
/// `services`. `doors` gets the instances' addresses and returns those that buyers connect to.
///
/// A gate limits how many buyers have clicked, so that no strike comes too late, however slow the machine is. Before the strike,
/// five eighths of the stock must be left. Until the fault is in place, half must be left. During the fault, a quarter must be
/// left. All other buyers click after the repair, while the shop recovers. After the first confirmed order, a lost instance
/// returns, and a last wave comes with as many buyers as units are left. A shop that has recovered must sell all of them.
///
/// Three machines recover without a repair. So buyers come one by one from the fault until all machines are back, and all others
/// then.
///
/// # Errors
/// A server or an instance does not restart, or the crowd cannot run.
pub async fn round(
    lab: &Lab,
    services: &mut Services,
    fault: Fault,
    plan: &Plan,
    progress: Progress,
    doors: impl AsyncFnOnce(Vec<SocketAddr>) -> Vec<SocketAddr>,
) -> anyhow::Result<Round> {
    let ground = Ground::Servers(fault, &lab.loadtest, services);
    round_on(lab, ground, fault.needs_links(), plan, progress, doors).await
}

/// As [`round`], on three machines: `lab` must be [on](Lab::on_machines) them. Buyers come through nginx.
///
/// # Errors
/// As for [`round`], and a cluster does not become whole again.
pub async fn round_on_machines(
    lab: &Lab,
    fault: MachineFault,
    plan: &Plan,
    progress: Progress,
) -> anyhow::Result<Round> {
    let machines = lab.machines().context("the lab is not on machines")?.clone();
    round_on(lab, Ground::Machines(fault, machines), false, plan, progress, async |doors| doors).await
}

async fn round_on(
    lab: &Lab,
    ground: Ground<'_>,
    needs_links: bool,
    plan: &Plan,
    progress: Progress,
    doors: impl AsyncFnOnce(Vec<SocketAddr>) -> Vec<SocketAddr>,
) -> anyhow::Result<Round> {
    let fault = ground.fault();
    let mut links = Vec::new();
    let mut deployment = Deployment::build_with(lab, plan, async |args| {
        args.extend(fault.payments().map(|payments| format!("--pay-within={}", payments.within)));
        if needs_links {
            links.push(Links::between(args).await?);
        }
        Ok(())
    })
    .await?;
    let played = play(&mut deployment, &links, ground, plan, progress, doors).await;
    deployment.stop_shops().await; // before the audit, because requests that timed out may still write
    let round = match played {
        Ok((history, heard, strike)) => conclude(fault, plan, &deployment, (&history, &heard), strike).await,
        Err(error) => Err(error),
    };
    let removed = deployment.remove(lab).await;
    let round = round?; // the first error is the one to report
    removed.map(|()| round)
}

/// Plays the sale and the strike.
async fn play(
    deployment: &mut Deployment,
    links: &[Links],
    ground: Ground<'_>,
    plan: &Plan,
    progress: Progress,
    doors: impl AsyncFnOnce(Vec<SocketAddr>) -> Vec<SocketAddr>,
) -> anyhow::Result<(Vec<Told>, Vec<Heard>, Strike)> {
    let come = Come::of(plan, ground.fault().pace());
    let (let_in, gate) = watch::channel(come.first);
    let (fault, pool, addresses) = (ground.fault(), deployment.pool.clone(), deployment.doors());
    let mut blow = ground.blow(deployment, links, (SALE, plan.seed), (&let_in, come.before)).await?;
    let stores = blow.stores();
    stores.put_up(blow.database(), &[Sale::open(SALE, plan.stock)]).await?;
    blow.prepare().await?;
    let doors = doors(addresses).await;
    for &door in &doors {
        shows_the_sale(door).await?;
    }

    let mut paying = JoinSet::new();
    let (paid, until) = oneshot::channel();
    if let Some(Payments { one_of, .. }) = fault.payments() {
        let card = if fault == Fault::ProviderLate.into() { LATE } else { GOOD };
        let buyers = Payers::known_as((1..=plan.buyers as i64).chain(probe::buyers(plan.stock)));
        let payers = Payers { doors: doors.clone().into(), pool: pool.clone(), sale: SALE, card, one_of, buyers };
        paying.spawn(payers.serve(until));
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
        let walk = Walk {
            doors: doors.into(),
            sale: SALE,
            began,
            progress: progress.clone(),
            queued: Arc::default(),
            polls: probe::EVERY,
        };
        strike(blow, walk, &come, &let_in, (plan.stock, &pool)).await
    };
    let at_barrier = async || {
        let _ = barrier.send(Instant::now()); // the receiver is gone if the strike has failed
    };
    // If one of them fails, it cancels the other, which would otherwise wait for it.
    let (stampede, (mut history, strike)) = tokio::try_join!(crowd::run(&crowd, progress.clone(), at_barrier), struck)?;
    stampede.stopped.map_or(Ok(()), |why| Err(anyhow!(why)))?;
    history.extend(stampede.history);
    // RabbitMQ gives up a lost worker after two missed heartbeats. Then it redelivers the messages that the worker held.
    let ended = Instant::now();
    while links.iter().any(|links| links.rabbitmq.lost_at_server() > 0) && ended.elapsed() < LONGEST {
        sleep(Duration::from_millis(50)).await;
    }
    let heard = settle(paid, paying, &pool).await?;
    stores.wait_until_quiet(&pool, &[SALE]).await?;
    Ok((history, heard, strike))
}

/// Injects the fault, checks it, repairs it, and lets buyers in between the steps. Returns the answers to the buyers who came one
/// by one, and the record of the strike.
async fn strike(
    mut blow: Blow<'_>,
    walk: Walk,
    come: &Come,
    let_in: &watch::Sender<usize>,
    (stock, pool): (i64, &AnyPool),
) -> anyhow::Result<(Vec<Told>, Strike)> {
    let progress = walk.progress.clone();
    blow.arm().await?;
    let struck = Instant::now();
    let mut strike = Strike {
        struck_ms: ms(struck - walk.began),
        in_flight: progress.asking.load(Relaxed),
        unconfirmed: progress.unconfirmed(),
        ..Strike::default()
    };
    blow.strike().await?;
    let is_in_place = blow.comes_into_place().await?;
    strike.seen = blow.seen();
    if !is_in_place {
        // The strike may have broken something else.
        let _ = blow.mend().await;
        let _ = blow.bring_back().await;
        let_in.send_replace(usize::MAX);
        return Ok((Vec::new(), strike));
    }
    strike.sold = progress.sold_at_most();
    strike.in_place_ms = Some(ms(progress.fault_is_in_place() - struck));
    let (end, until) = oneshot::channel();
    let mut probing = JoinSet::new(); // in its own task, because starting a server blocks; dropping the set ends it
    probing.spawn(walk.clone().probe(until));
    let recovers = async {
        blow.mend().await?;
        let mended = Instant::now();
        strike.mended_ms = Some(ms(mended - struck));
        if come.pace.is_none() {
            let_in.send_replace(usize::MAX);
        }
        let confirmed = timeout(LONGEST, progress.until_confirmed()).await;
        drop(end);
        let back = blow.bring_back().await?;
        strike.back_ms = back.map(|()| ms(struck.elapsed()));
        anyhow::Ok((mended, confirmed))
    };
    let (mended, confirmed) = tokio::select! {
        recovered = recovers => recovered?,
        never = come.meanwhile(let_in) => match never {},
    };
    let_in.send_replace(usize::MAX);
    let mut history = Vec::new();
    if let (Ok(()), Some(first)) = (confirmed, progress.first_confirmed()) {
        strike.confirmed_ms = Some(ms(first - struck));
        strike.confirmed_after_mended_ms = Some(ms(first.saturating_duration_since(mended)));
        let sold = Ledger::read(pool, None, &[SALE]).await?.orders.len() as i64;
        history = walk.last_wave(stock - sold).await;
    }
    history.extend(probing.join_next().await.context("no buyers came during the fault")???);
    Ok((history, strike))
}

/// Waits until an instance shows the sale. Until it has read the sale from SQL, it answers 503, and a crowd does not ask twice.
async fn shows_the_sale(door: SocketAddr) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        match open_sale(&mut Connection::open(door).await?, SALE).await {
            Ok(_) => return Ok(()),
            Err(why) if began.elapsed() > LONGEST => return Err(why),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests;
