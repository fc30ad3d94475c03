//! Turns the counters of a run into the numbers of one picture after the other.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use loadtest::{
    buyer::{
        progress::Progress,
        schedule::{Load, Schedule},
    },
    render::screen::{Left, Numbers, Phase},
    scenario::{Scenario, plan::Plan},
};
use tokio::time::Instant;

/// The time that one bar of the sparkline stands for.
const SPAN: Duration = Duration::from_millis(200);
/// Bars of a second.
const SECOND: usize = 5;
/// Bars that are kept: more than a terminal has columns.
const KEPT: usize = 500;

/// Looks at the counters of a run again and again.
pub(crate) struct Sampler {
    title: String,
    load: String,
    plan: Plan,
    progress: Progress,
    rates: Vec<u64>,
    /// When the last span ended, and how many answers there were then.
    last: Option<(Instant, u64)>,
}

impl Sampler {
    pub(crate) fn new(title: String, plan: &Plan, progress: &Progress) -> Sampler {
        let title = if plan.scenario == Scenario::Stampede { format!("{title} stampede") } else { title };
        let who = plan.who();
        let load = if plan.scenario.is_a_crowd() { format!("{who}, {}", plan.load) } else { who };
        let (plan, progress) = (plan.clone(), progress.clone());
        Sampler { title, load, plan, progress, rates: Vec::new(), last: None }
    }

    /// The numbers of this moment.
    pub(crate) fn sample(&mut self) -> Numbers {
        let (now, began) = (Instant::now(), self.progress.began_at());
        let mut told = self.progress.tally.kinds();
        let answers = told.iter().map(|(_, count)| count).sum();
        told.extend(Some(("still queued", self.queued())).filter(|(_, queued)| *queued > 0));
        let since = began.map(|began| now.duration_since(began));
        if since.is_some() {
            self.count(now, answers);
        }
        let newest = &self.rates[self.rates.len().saturating_sub(SECOND)..];
        let schedule = self.schedule();
        Numbers {
            title: self.title.clone(),
            load: self.load.clone(),
            rate: newest.iter().sum::<u64>() as f64 / newest.len().max(1) as f64,
            rates: self.rates.clone(),
            offered: schedule.map(|schedule| since.map_or(0.0, |since| schedule.rate_at(since))),
            told,
            latency: self.progress.tally.latency(),
            since: if schedule.is_some() { "from when due" } else { "from the start" },
            yes: self.progress.yes.load(Relaxed) as u64,
            units: self.plan.stock * self.plan.sales as i64,
            phase: self.phase(since),
        }
    }

    /// Adds a bar if a span is over.
    fn count(&mut self, now: Instant, answers: u64) {
        let (last, before) = *self.last.get_or_insert((now, answers));
        let span = now.duration_since(last);
        if span >= SPAN {
            self.rates.push(((answers - before) as f64 / span.as_secs_f64()).round() as u64);
            self.rates.drain(..self.rates.len().saturating_sub(KEPT));
            self.last = Some((now, answers));
        }
    }

    fn phase(&self, since: Option<Duration>) -> Phase {
        let unserved = self.plan.buyers.saturating_sub(self.progress.served.load(Relaxed)) as u64 + self.queued();
        match since {
            _ if self.progress.ending.requested_at().is_some() => Phase::Ending,
            None => Phase::Starting,
            Some(since) if self.plan.scenario == Scenario::Flood => {
                Phase::Coming(since, Left::Time(self.plan.lasts.saturating_sub(since)))
            }
            Some(_) if unserved == 0 => Phase::Auditing,
            Some(since) => Phase::Coming(
                since,
                match self.schedule() {
                    Some(schedule) => Left::Time(schedule.lasts().saturating_sub(since)),
                    None => Left::Buyers(unserved),
                },
            ),
        }
    }

    /// Buyers of a crowd who were told to wait for their result.
    fn queued(&self) -> u64 {
        self.progress.unconfirmed() as u64
    }

    fn schedule(&self) -> Option<&Schedule> {
        match &self.plan.load {
            Load::Open(schedule) => Some(schedule),
            Load::Closed => None,
        }
    }
}
