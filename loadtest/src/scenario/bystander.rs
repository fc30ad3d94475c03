//! A stampede, and buyers of another sale beside it: how much slower do these bystanders get?

use std::time::Duration;

use sqlx::AnyPool;
use tokio::{sync::watch, task::JoinHandle, time::sleep};
use v1_naive::shop::sales::Sale;

use super::{Stage, calibration::PLENTY, plan::Plan, rules::Rules};
use crate::{
    buyer::{
        open_loop::{Coming, Visitors, Visits},
        progress::Counts,
    },
    lab::observe,
    record::{Bystander, Measure, Run},
    verdict::{
        audit::{Demand, audit_for},
        history::{Told, outcomes},
        latency::Latency,
        ledger::Ledger,
    },
};

/// The growth of the bystanders' p99 at and above which they starve.
pub const STARVES: f64 = 5.0;
/// The p99 in milliseconds at and above which bystanders starve even without a stampede. Otherwise five times a slow baseline
/// would look fine.
const SLOW_ALONE_MS: f64 = 1000.0;
/// The share of bystanders who must get a unit. Below it the p99 has no value: the hundredth buyer never gets one.
const SERVED: f64 = 0.99;
/// The distance between the buyer ids of both groups: more than can come.
const FAR_APART: i64 = 1_000_000;
/// Bystanders a second.
const RATE: f64 = 100.0;
/// Connections that bystanders may have open. The first group has left when the crowd comes.
const CONNECTIONS: usize = 2000;
/// How long a bystander has the page open before the click.
const READS: Duration = Duration::from_secs(1);
/// How long a bystander waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bystanders' sale during a stampede, and the number of sessions that wait for a lock.
pub struct Beside {
    sale: i64,
    alone: Visits,
    stop: watch::Sender<bool>,
    beside: Coming,
    lock_waiters: Option<JoinHandle<i64>>,
}

impl Beside {
    /// Opens the second sale and measures bystanders alone, for as long as the plan says. Then starts those who come beside the
    /// stampede. `server` is a pool for counting lock waits and the name of the run's database.
    ///
    /// # Errors
    /// The database fails, or the shop does not answer.
    pub async fn begin(stage: &Stage<'_>, server: Option<(AnyPool, String)>) -> anyhow::Result<Beside> {
        let plan = stage.plan;
        let sale = stage.sale + plan.sales as i64;
        let first_buyer = plan.buyers as i64 + 1;
        stage.put_up(&[Sale::open(sale, PLENTY)]).await?;
        let (stop, stopped) = watch::channel(false);
        let visitors = Visitors {
            first_buyer,
            connections: CONNECTIONS,
            reads: READS,
            patience: PATIENCE,
            progress: Counts::ended_by(&stage.progress.ending),
            ..Visitors::steady(stage.shops, sale, RATE)
        };
        let coming = visitors.clone().come_apart(stopped)?;
        sleep(READS + plan.lasts).await;
        stop.send_replace(true);
        let alone = coming.await??;

        let (stop, stopped) = watch::channel(false);
        let visitors = Visitors { first_buyer: first_buyer + FAR_APART, ..visitors };
        let beside = visitors.come_apart(stopped.clone())?;
        sleep(READS).await; // from now on they click
        let lock_waiters = server.map(|(admin, name)| tokio::spawn(observe::lock_waiters(admin, name, stopped)));
        Ok(Beside { sale, alone, stop, beside, lock_waiters })
    }

    /// Stops the arrivals and compares both groups.
    ///
    /// # Errors
    /// The database fails, or the shop does not answer.
    pub async fn end(self, stage: &Stage<'_>) -> anyhow::Result<Bystander> {
        self.stop.send_replace(true);
        let beside = self.beside.await??;
        let lock_waiters = match self.lock_waiters {
            Some(waiters) => Some(waiters.await?),
            None => None,
        };
        let sold_out = stage.is_sold_out(self.sale).await?;
        // A fast 429 or 503 does not count as served, and neither does a fast `sold-out` while units are left.
        let served =
            |visits: &Visits| Latency::of(visits.history.iter().filter(|told| told.is_served(sold_out)), |_| true);
        let (alone, together) = (served(&self.alone), served(&beside));
        let outcomes = outcomes(&beside.history);
        let (arrivals_alone, arrivals_beside) = (self.alone.arrivals, beside.arrivals);
        let all: Vec<Told> = self.alone.history.into_iter().chain(beside.history).collect();
        let few = (1.0 - SERVED) * (arrivals_alone.planned + arrivals_beside.planned) as f64;
        let demand = Demand { may_go_without: few as i64, ..Demand::default() };
        Ok(Bystander {
            p99_ratio: alone.zip(together).map(|(alone, beside)| beside.p99 / alone.p99),
            alone,
            beside: together,
            arrivals_alone,
            arrivals_beside,
            outcomes,
            lock_waiters,
            audit: audit_for(&all, &Ledger::read(stage.pool, stage.stores, &[self.sale]).await?, &demand),
        })
    }
}

/// The share of the bystanders who got a unit.
fn share(served: Latency, planned: usize) -> f64 {
    served.count as f64 / planned.max(served.count) as f64
}

/// Whether bystanders starve beside the crowd, although they were well served without it.
pub(crate) fn has_starved(bystander: &Bystander) -> bool {
    let (alone, planned) = (bystander.alone, bystander.arrivals_alone.planned);
    let well_served = alone.is_some_and(|alone| alone.p99 < SLOW_ALONE_MS && share(alone, planned) >= SERVED);
    well_served && bystander.arrivals_beside.planned > 0 && !Outcome::of(bystander).measure().holds
}

/// The result for the bystanders.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outcome {
    /// In at least one of the two groups, no bystander got a unit.
    NoAnswer,
    /// The p99 in milliseconds is too long even without a stampede.
    SlowAlone(f64),
    /// Bystanders starve: their p99 grew by this factor.
    Starved(f64),
    /// Only this share of the bystanders got a unit.
    Unserved(f64),
    /// Bystanders are served: their p99 grew by this factor.
    Served(f64),
}

impl Outcome {
    pub(crate) fn of(bystander: &Bystander) -> Outcome {
        let (Some(alone), Some(beside), Some(times)) = (bystander.alone, bystander.beside, bystander.p99_ratio) else {
            return Outcome::NoAnswer;
        };
        let (planned, together) = (bystander.arrivals_alone.planned, bystander.arrivals_beside.planned);
        let served = share(alone, planned).min(share(beside, together));
        if alone.p99 >= SLOW_ALONE_MS {
            Outcome::SlowAlone(alone.p99)
        } else if times >= STARVES {
            Outcome::Starved(times)
        } else if served < SERVED {
            Outcome::Unserved(served)
        } else {
            Outcome::Served(times)
        }
    }

    pub(crate) fn measure(self) -> Measure {
        let times = "times by which the bystanders' p99 grew";
        match self {
            Outcome::NoAnswer => Measure::new("bystanders who got a unit", 0.0, false),
            Outcome::SlowAlone(ms) => Measure::new("the bystanders' p99 alone, in milliseconds", ms, false),
            Outcome::Starved(n) => Measure::new(times, n, false),
            Outcome::Unserved(share) => Measure::new("share of bystanders who got a unit", share, false),
            Outcome::Served(n) => Measure::new(times, n, true),
        }
    }

    /// The result in two or three words.
    pub(crate) fn figure(self) -> String {
        match self {
            Outcome::NoAnswer => "no answer".into(),
            Outcome::SlowAlone(ms) => format!("{:.1} s alone", ms / 1e3),
            Outcome::Starved(n) | Outcome::Served(n) => format!("p99 × {n:.1}"),
            Outcome::Unserved(share) => format!("{:.0} % served", share * 100.0),
        }
    }
}

/// Why the comparison is not valid; `None` if nearly all bystanders came on time. If the shop serves no bystander even alone, the
/// arrivals beside the stampede do not matter: it may end before the first of them comes.
pub(crate) fn invalid(bystander: &Bystander) -> Option<String> {
    let [alone, beside] = [bystander.arrivals_alone, bystander.arrivals_beside].map(|arrivals| arrivals.invalid());
    let beside = beside.filter(|_| bystander.alone.is_some());
    alone.map(|why| format!("{why}, alone")).or_else(|| beside.map(|why| format!("{why}, beside the stampede")))
}

/// A stampede with bystanders.
pub(crate) struct BystanderRules;

impl Rules for BystanderRules {
    fn sockets(&self, plan: &Plan) -> usize {
        plan.sockets_of_a_crowd() + CONNECTIONS
    }

    fn figure(&self, run: &Run) -> String {
        run.bystander.as_ref().map_or(Outcome::NoAnswer, Outcome::of).figure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buyer::arrivals::Arrivals, verdict::audit::Audit};

    /// Bystanders with these p99s and these numbers of served buyers, alone and beside a stampede; 300 were planned per group.
    fn bystander(p99: [f64; 2], served: [usize; 2]) -> Bystander {
        let latency =
            |n: usize| Some(Latency { count: served[n], p50: 1.0, p90: 1.0, p99: p99[n], p999: 9e9, max: 9e9 });
        let arrivals = Arrivals { planned: 300, ..Arrivals::default() };
        Bystander {
            alone: latency(0),
            beside: latency(1),
            p99_ratio: Some(p99[1] / p99[0]),
            arrivals_alone: arrivals,
            arrivals_beside: arrivals,
            outcomes: Default::default(),
            lock_waiters: None,
            audit: Audit::default(),
        }
    }

    #[test]
    fn bystanders_starve_in_four_ways() {
        let none_beside = Bystander { beside: None, p99_ratio: None, ..bystander([1.0; 2], [300; 2]) };
        for (bystander, figure, holds, starved) in [
            (bystander([10.0, 49.0], [300, 297]), "p99 × 4.9", true, false),
            (bystander([10.0, 50.0], [300, 300]), "p99 × 5.0", false, true),
            (bystander([10.0, 10.0], [300, 296]), "99 % served", false, true),
            (bystander([10.0, 10.0], [150, 300]), "50 % served", false, false),
            (bystander([10.0, 50.0], [150, 300]), "p99 × 5.0", false, false),
            (bystander([40_000.0, 40_000.0], [300, 300]), "40.0 s alone", false, false),
            (none_beside.clone(), "no answer", false, true),
            (Bystander { alone: None, ..none_beside }, "no answer", false, false),
        ] {
            let outcome = Outcome::of(&bystander);
            assert_eq!((outcome.figure().as_str(), outcome.measure().holds), (figure, holds), "{bystander:?}");
            assert_eq!(has_starved(&bystander), starved, "{bystander:?}");
        }
    }

    #[test]
    fn a_comparison_needs_the_arrivals_of_both_groups() {
        let fine = bystander([1.0; 2], [300; 2]);
        let dropped = Arrivals { planned: 300, dropped: 9, late: 0 };
        assert_eq!(invalid(&fine), None);
        let alone = invalid(&Bystander { arrivals_alone: dropped, ..fine.clone() }).unwrap();
        let beside = invalid(&Bystander { arrivals_beside: dropped, ..fine.clone() }).unwrap();
        let none_beside = Bystander { arrivals_beside: Arrivals::default(), beside: None, ..fine };
        assert!(invalid(&none_beside).is_some());
        assert_eq!(invalid(&Bystander { alone: None, ..none_beside }), None, "it breaks");
        assert!(alone.ends_with("connection, alone") && beside.ends_with("connection, beside the stampede"));
    }
}
