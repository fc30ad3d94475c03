use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use v1_naive::shop::sales::Sale;

use super::{Fault, figures::Round, probe::Probes, strike::Target};
use crate::{
    audit::audit,
    history::{Told, outcomes},
    lab::Lab,
    ledger::Ledger,
    plan::Plan,
    scenario::stampede::{self, Crowd, Progress},
    services::Services,
    set::{Set, addresses},
};

/// The sale.
const SALE: i64 = 1001;

/// Sells one sale to the crowd of `plan` on fresh shops, strikes when a quarter of the stock is sold, and audits what came
/// of it. The second half of the crowd comes when what was struck is up again. `lab` is one [on](Lab::on) `services`.
///
/// # Errors
/// A server or an instance does not start again, or the crowd cannot come.
pub async fn round(
    lab: &Lab,
    services: &mut Services,
    fault: Fault,
    plan: &Plan,
    progress: Progress,
) -> anyhow::Result<Round> {
    let mut set = Set::build(lab, plan).await?;
    let played = play(&mut set, services, fault, plan, progress).await;
    set.stop_shops().await; // before the audit: whoever was given up by a buyer may still be writing
    let round = match played {
        Ok(played) => conclude(plan, &set, &played).await,
        Err(error) => Err(error),
    };
    let removed = set.remove(lab).await;
    let round = round?; // the first error is the one that counts
    removed.map(|()| round)
}

/// What was played.
struct Played {
    crowd: Vec<Told>,
    probes: Probes,
    /// Units that were reserved when it was dead.
    sold: usize,
}

/// The sale and the strike.
async fn play(
    set: &mut Set,
    services: &mut Services,
    fault: Fault,
    plan: &Plan,
    progress: Progress,
) -> anyhow::Result<Played> {
    let up = Instant::now();
    let Set { database, stores, shops, .. } = set;
    let stores = stores.as_ref().context("only chapter 6 has servers that can be struck")?;
    stores.put_up(&database.url, &[Sale::open(SALE, plan.stock)]).await?;
    fault.prepare(stores, up).await?;
    let redis = stores.connect().await?;

    let (come_back, second_wave) = watch::channel(false);
    let crowd = Crowd {
        shops: addresses(shops),
        sales: vec![SALE],
        buyers: plan.buyers,
        connections: plan.connections,
        seed: plan.seed,
        opens_the_page: false,
        second_wave: Some(second_wave),
    };
    let struck = async {
        progress.reach(plan.stock / 4, plan.buyers / 2).await;
        strike(fault, Target { services, redis, shops }, &progress, come_back).await
    };
    // Whichever fails ends the other, which would wait for it.
    let (stampede, (sold, probes)) = tokio::try_join!(stampede::run(&crowd, progress.clone(), async || {}), struck)?;
    stores.wait_until_quiet(&[SALE]).await?;
    Ok(Played { crowd: stampede.history, probes, sold })
}

/// Breaks and mends it, and lets the second wave come when it is up; the probes come as soon as it is dead. Returns how
/// many units were reserved by then.
async fn strike(
    fault: Fault,
    mut target: Target<'_>,
    progress: &Progress,
    come_back: watch::Sender<bool>,
) -> anyhow::Result<(usize, Probes)> {
    let struck = Instant::now();
    fault.strike(&mut target).await?;
    let sold = progress.bought.load(Relaxed);
    let mut probing = JoinSet::new(); // apart, because we block while a server starts; and it ends with us
    probing.spawn(Probes::send(addresses(target.shops), SALE, struck));
    fault.mend(&mut target).await?;
    come_back.send_replace(true);
    Ok((sold, probing.join_next().await.context("nobody has tried")???))
}

async fn conclude(plan: &Plan, set: &Set, played: &Played) -> anyhow::Result<Round> {
    let Played { crowd, probes, sold } = played;
    let history: Vec<Told> = crowd.iter().chain(&probes.history).cloned().collect();
    let ledger = Ledger::read(&set.pool, set.stores.as_ref(), &[SALE]).await?;
    Ok(Round {
        stock: plan.stock,
        buyers: plan.buyers,
        instances: plan.instances,
        seed: plan.seed,
        sold_when_struck: *sold,
        audit: audit(&history, &ledger),
        outcomes: outcomes(&history),
        recovered_ms: probes.recovered.map(|after| after.as_secs_f64() * 1e3),
    })
}
