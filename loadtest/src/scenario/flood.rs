//! Five times more than the shop can do, from a few clients.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{sync::watch, time::sleep};
use v1_naive::shop::sales::Sale;

use super::{
    Played, Stage,
    calibration::{PLENTY, POOL},
    plan::Plan,
    rules::Rules,
};
use crate::{
    buyer::{open_loop::Visitors, schedule::Schedule},
    record::{Calibration, Flood, Measure, Run},
    verdict::{
        audit::{Demand, Honest},
        latency::Latency,
    },
};

/// By what the flood exceeds what the shop can do.
const TIMES: f64 = 5.0;
/// No more than that is offered. The generator does 65,000 a second to a shop that does nothing, on two processors; a quarter
/// of it leaves the shop room to be the slower one.
const MOST: f64 = 15_000.0;
/// The clients that flood.
const CLIENTS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(203, 0, 113, 1),
    Ipv4Addr::new(203, 0, 113, 2),
    Ipv4Addr::new(203, 0, 113, 3),
    Ipv4Addr::new(203, 0, 113, 4),
];
/// Connections the flood may have open.
const CONNECTIONS: usize = 2000;
/// Connections the honest buyers may have open.
const HONEST_CONNECTIONS: usize = 500;
/// Honest buyers a second at most, and as a share of what the shop can do: alone they are well served.
const HONEST: f64 = 100.0;
const HONEST_SHARE: f64 = 0.2;
/// How long they have had the page open when they click.
const READS: Duration = Duration::from_secs(1);
/// A unit after that is too late: the buyer has clicked again, or gone.
const IN_TIME: Duration = Duration::from_millis(500);
/// How long the last of them wait.
const PATIENCE: Duration = Duration::from_secs(1);
/// The share of honest buyers with a unit in time from which on we say that a version holds.
pub const ENOUGH: f64 = 0.95;

/// Honest buyers at a steady rate, each from an address of its own, while a few clients ask for five times what `calibration`
/// says can be done, each time in another buyer's name.
///
/// # Errors
/// The database's, or the shop's when it does not answer.
pub async fn play(stage: &Stage<'_>, calibration: Calibration, lasts: Duration) -> anyhow::Result<Played> {
    let (sale_id, capacity) = (stage.sale, calibration.median());
    stage.put_up(&[Sale::open(sale_id, stage.plan.stock)]).await?;
    let offered = (capacity * TIMES).clamp(1.0, MOST);
    let (stop, stopped) = watch::channel(false);
    let visitors = Visitors {
        connections: HONEST_CONNECTIONS,
        reads: READS,
        patience: PATIENCE,
        ..Visitors::steady(stage.shops, sale_id, HONEST.min(capacity * HONEST_SHARE).max(1.0))
    };
    let honest = visitors.clone().come_apart(stopped.clone())?;
    let flood = Visitors {
        first_buyer: 1_000_000,
        schedule: Schedule::steady(offered),
        from: CLIENTS.to_vec(),
        connections: CONNECTIONS,
        reads: Duration::ZERO, // a script
        ..visitors
    };
    sleep(READS).await; // now the honest ones click
    let flood = tokio::spawn(flood.come(stopped));
    sleep(lasts).await;
    stop.send_replace(true);
    let (honest, flood) = (honest.await??, flood.await??);

    let sold_out = stage.is_sold_out(sale_id).await?;
    let in_time = honest.history.iter().filter(|told| told.is_served(sold_out) && told.latency() <= IN_TIME).count();
    // Who found no connection wanted a unit as well.
    let share = in_time as f64 / honest.arrivals.planned.max(1) as f64;
    let what = "share of honest buyers with a unit, or a true sold-out, within 500 ms";
    // A slow shop that keeps the attackers' connections busy drops attackers, and that is not the generator's fault.
    let invalid = calibration.invalid().or_else(|| honest.arrivals.invalid());
    let about = Flood {
        capacity_per_second: capacity,
        calibration,
        offered_per_second: offered,
        sent: flood.history.len(),
        attackers: flood.arrivals,
        honest: honest.arrivals.planned,
        visitors: honest.arrivals,
        decided_in_time: in_time,
        latency: Latency::of(&honest.history, |_| true),
    };
    let requests = (honest.history.len() + flood.history.len()) as u64;
    let demand = Demand {
        honest: Honest::These(honest.history.iter().map(|told| told.buyer_id).collect()),
        may_go_without: ((1.0 - ENOUGH) * honest.arrivals.planned as f64) as i64,
    };
    Ok(Played {
        demand,
        sales: vec![sale_id],
        requests,
        elapsed: lasts,
        measure: Some(Measure::new(what, share, share >= ENOUGH)),
        flood: Some(about),
        history: honest.history.into_iter().chain(flood.history).collect(),
        invalid,
        ..Played::default()
    })
}

/// Five times what the shop can do, from a few clients.
pub(crate) struct FloodRules;

impl Rules for FloodRules {
    fn plan(&self, stampede: Plan) -> Plan {
        Plan { stock: PLENTY, pool: POOL, ..stampede }
    }

    fn who(&self, _plan: &Plan) -> String {
        format!("{TIMES} times what the shop can do")
    }

    fn sockets(&self, _plan: &Plan) -> usize {
        CONNECTIONS + HONEST_CONNECTIONS
    }

    fn contended(&self, _plan: &Plan) -> bool {
        true
    }

    fn figure(&self, run: &Run) -> String {
        format!("{:.0} % in time", run.measured() * 100.0)
    }
}
