//! A run in a sentence.

use super::text::thousands;
use crate::{
    record::{Bystander, Edge, Flood, HonestBuyers, Reservations, Run},
    verdict::outside::NOT_AUDITED,
};

impl Bystander {
    /// The dropped and late bystanders in words; empty if there are none.
    fn missed(&self) -> String {
        let sides = [("alone", self.arrivals_alone), ("beside the stampede", self.arrivals_beside)];
        let missed = sides.into_iter().filter_map(|(side, arrivals)| Some(format!("; {side}, {}", arrivals.missed()?)));
        missed.collect()
    }
}

impl Flood {
    fn says(&self) -> String {
        let count = |n: f64| thousands(n as i64);
        let rounds = match self.calibration.says() {
            none if none.is_empty() => none,
            rounds => format!(" ({rounds})"),
        };
        // Old files do not have the number of planned arrivals.
        let planned = match self.attackers.planned {
            0 => "of them".into(),
            planned => format!("of {}", count(planned as f64)),
        };
        let mut says = format!(
            "; {} a second asked for where {} can be done{rounds}, {} {planned} sent; {} honest buyers",
            count(self.offered_per_second),
            count(self.capacity_per_second),
            count(self.sent as f64),
            count(self.honest as f64),
        );
        if let Some(latency) = &self.latency {
            says += &format!(", p99 {:.0} ms", latency.p99);
        }
        if let Some(missed) = self.visitors.missed() {
            says += &format!("; of the honest, {missed}");
        }
        says
    }
}

impl Run {
    /// The run in a sentence.
    pub fn says(&self) -> String {
        format!("{}: {}", self.figures(), self.outcome())
    }

    /// The same without what was promised.
    pub(crate) fn figures(&self) -> String {
        let audit = &self.audit;
        let mut says = format!("{} in stock, {} sold", thousands(self.stock), thousands(audit.orders));
        if let (Some(measure), false) = (&self.measure, self.is_a_crowd()) {
            says = format!("{}: {}", measure.what, self.figure());
        }
        if let Some(flood) = &self.flood {
            says += &flood.says();
        }
        if let (Some(open_loop), Some(times)) = (&self.open_loop, &self.times_ms) {
            let [latency, service] = [times.latency.latency.p99, times.service.latency.p99];
            says += &format!("; {}: {}", self.load, open_loop.says());
            says += &format!("; p99 {latency:.1} ms from when it was due, {service:.1} ms from when it was sent");
        }
        if let Some(Reservations { to_confirmed_ms: took, last_commit_ms }) = &self.reservations {
            says += &format!("; from reserved to confirmed p50 {:.0} ms, p99 {:.0} ms", took.p50, took.p99);
            if let Some(ms) = last_commit_ms {
                says += &format!(", the last {} ms after the barrier", thousands(*ms));
            }
        }
        if let Some(Edge { requests, passed_on }) = self.nginx {
            says += &format!(
                "; {} requests to nginx, {} of them passed on",
                thousands(requests as i64),
                thousands(passed_on as i64)
            );
        }
        if let Some(HonestBuyers { asked, served, late }) = self.honest {
            says += &format!("; {served} of {asked} honest buyers beside it got a unit");
            if late > 0 {
                says += &format!(", {late} too late");
            }
        }
        if audit.unfinished > 0 {
            says += &format!("; {} still in outbox or queue", thousands(audit.unfinished));
        }
        if audit.not_conserved > 0 {
            says += &format!("; `sold` says {}", thousands(audit.sold));
        }
        if audit.undersold > 0 {
            says += &format!("; {} left, though buyers were refused", thousands(audit.undersold));
        }
        if audit.late_rejects > 0 {
            says += &format!("; {} late rejects", thousands(audit.late_rejects));
        }
        for (kind, n) in self.outcomes.iter().filter(|(kind, _)| !["bought", "sold-out"].contains(&kind.as_str())) {
            says += &format!("; {} told {kind}", thousands(*n as i64));
        }
        for (counter, n) in &self.counters {
            says += &format!("; {} {}", thousands(*n as i64), counter.replace('_', " "));
        }
        if let Some(Bystander {
            alone: Some(alone), beside: Some(beside), p99_ratio: Some(ratio), lock_waiters, ..
        }) = &self.bystander
        {
            says += &format!(
                "; bystanders' p99 {:.1} ms alone, {:.1} ms beside it, {ratio:.0} times",
                alone.p99, beside.p99
            );
            if let Some(waiters) = lock_waiters {
                says += &format!(
                    "; {waiters} of {} database connections waited for a lock",
                    self.pool.unwrap_or_default() as usize * self.instances
                );
            }
        }
        says += &self.bystander.as_ref().map_or_else(String::new, Bystander::missed);
        if self.url.is_some() {
            says += &format!("; {NOT_AUDITED}");
        }
        says
    }
}
