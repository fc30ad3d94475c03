//! Five times the shop's capacity, sent by a few clients.

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
    buyer::{arrivals::Arrivals, open_loop::Visitors, schedule::Schedule},
    record::{Calibration, Flood, Measure, Run},
    render::text::percent,
    verdict::{
        audit::{Demand, Honest},
        latency::Latency,
    },
};

/// The flood's rate, as a multiple of the shop's capacity.
const TIMES: f64 = 5.0;
/// The highest rate of the flood, in requests per second. On two processors the generator sends 65,000 per second to a shop that
/// does nothing. A quarter of that leaves enough processor time for the shop to be the slower one.
const MOST: f64 = 15_000.0;
/// The IP addresses of the flooding clients.
const CLIENTS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(203, 0, 113, 1),
    Ipv4Addr::new(203, 0, 113, 2),
    Ipv4Addr::new(203, 0, 113, 3),
    Ipv4Addr::new(203, 0, 113, 4),
];
/// The most open connections of the flood.
const CONNECTIONS: usize = 2000;
/// The most open connections of the honest buyers.
const HONEST_CONNECTIONS: usize = 500;
/// The rate of the honest buyers: the most per second, and the most as a share of the capacity. Alone they are well served.
const HONEST: f64 = 100.0;
const HONEST_SHARE: f64 = 0.2;
/// How long an honest buyer has the page open before the click.
const READS: Duration = Duration::from_secs(1);
/// A unit that comes later than this is too late: the buyer has clicked again or left.
const IN_TIME: Duration = Duration::from_millis(500);
/// How long a buyer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// The share of the flood that the generator may send late.
const MOST_LATE: f64 = 0.1;
/// The share of honest buyers that must get a unit in time for the version to pass.
pub const ENOUGH: f64 = 0.95;

/// Honest buyers come at a steady rate, each from its own IP address. Meanwhile a few clients send five times the capacity in
/// `calibration`, each request with another buyer id. Both are open loops.
///
/// # Errors
/// The database fails, or the shop does not answer.
pub async fn play(stage: &Stage<'_>, calibration: Calibration, lasts: Duration) -> anyhow::Result<Played> {
    let (sale_id, capacity) = (stage.sale, calibration.median());
    stage.put_up(&[Sale::open(sale_id, stage.plan.stock)]).await?;
    let offered = (capacity * TIMES).clamp(1.0, MOST);
    let (stop, stopped) = watch::channel(false);
    let visitors = Visitors {
        connections: HONEST_CONNECTIONS,
        reads: READS,
        patience: PATIENCE,
        progress: stage.progress.clone(),
        ..Visitors::steady(stage.shops, sale_id, HONEST.min(capacity * HONEST_SHARE).max(1.0))
    };
    stage.progress.begin();
    let honest = visitors.clone().come_apart(stopped.clone())?;
    let flood = Visitors {
        first_buyer: 1_000_000,
        schedule: Schedule::steady(offered),
        from: CLIENTS.to_vec(),
        connections: CONNECTIONS,
        reads: Duration::ZERO, // a script
        ..visitors
    };
    sleep(READS).await; // from now on the honest buyers click
    let flood = tokio::spawn(flood.come(stopped));
    tokio::select! {
        () = sleep(lasts) => {}
        () = stage.progress.ending.requested() => {}
    }
    stop.send_replace(true);
    let (honest, flood) = (honest.await??, flood.await??);

    let sold_out = stage.is_sold_out(sale_id).await?;
    let in_time = honest.history.iter().filter(|told| told.is_served(sold_out) && told.latency() <= IN_TIME).count();
    // A buyer without a free connection also wanted a unit, so the share is of all planned arrivals.
    let share = in_time as f64 / honest.arrivals.planned.max(1) as f64;
    let what = "share of honest buyers with a unit, or a true sold-out, within 500 ms";
    let invalid = calibration.invalid().or_else(|| honest.arrivals.invalid()).or_else(|| is_late(&flood.arrivals));
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
    let requests = honest.requests + flood.requests;
    let demand = Demand {
        honest: Honest::These(honest.history.iter().map(|told| told.buyer_id).collect()),
        may_go_without: ((1.0 - ENOUGH) * honest.arrivals.planned as f64) as i64,
    };
    Ok(Played {
        demand,
        sales: vec![sale_id],
        requests,
        elapsed: stage.progress.ended_after().unwrap_or(lasts),
        measure: Some(Measure::new(what, share, share >= ENOUGH)),
        flood: Some(about),
        history: honest.history.into_iter().chain(flood.history).collect(),
        stopped: stage.progress.ended(),
        invalid,
        ..Played::default()
    })
}

/// Why a flood says nothing: the generator has sent too much of it late, so it was less than five times the capacity. Dropped
/// attackers do not count: a slow shop keeps their connections busy.
fn is_late(flood: &Arrivals) -> Option<String> {
    let (late, planned) = (flood.late as f64, flood.planned as f64);
    (late > MOST_LATE * planned).then(|| format!("{} of the flood came late", percent(late, planned)))
}

/// Five times the shop's capacity, sent by a few clients.
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

#[cfg(test)]
mod tests {
    use super::{Arrivals, is_late};

    #[test]
    fn a_tenth_of_the_flood_may_come_late_and_any_part_be_dropped() {
        let late = |late| is_late(&Arrivals { planned: 1000, dropped: 900, late });
        assert_eq!((late(0), late(100)), (None, None));
        assert!(late(101).is_some());
        assert_eq!(late(250).as_deref(), Some("25 % of the flood came late"));
    }
}
