//! Counts the interleavings of a version, chooses the one to show, and judges the version's promise.

use super::{play::Played, scheduler::Subject, step::Mark};
use crate::{
    lab::database::Database,
    record::interleavings::{Explored, OrderOfEvents, Replayed},
    render::text::thousands,
    scenario::Scenario,
    verdict::{
        Verdict,
        promise::{
            Conditions,
            Promise::{self, Breaks, Deadlocks, Holds, MayBreak, NoGate, Oversells, Starves, Undersells},
            promise,
        },
    },
    version::title,
};

/// How much an interleaving shows; the worst anomaly comes first.
type Worth = (bool, bool, bool, bool, bool);

impl Explored {
    /// A count without any interleaving.
    pub(crate) fn of(subject: &Subject) -> Explored {
        Explored {
            version: subject.version,
            variant: subject.variant,
            buyers: subject.buyers,
            stock: subject.stock,
            orders_of_events: 0,
            classes: None,
            oversell: 0,
            undersell: 0,
            broken: 0,
            conflicts: 0,
            blocked: 0,
            deadlocks: 0,
            cut_off: 0,
            not_followed: 0,
            seconds: 0.0,
            promised: promised(subject),
            verdict: Verdict::Measured,
            shortest: None,
            shown: None,
            orders: Vec::new(),
        }
    }

    /// Adds one interleaving. With `is_class`, it stands for all interleavings of its class.
    pub(crate) fn add(&mut self, played: Played, is_class: bool) {
        let mut order = OrderOfEvents::of(&played);
        order.interleavings = if is_class { order.class.interleavings() } else { 1 };
        let interleavings = order.interleavings;
        let count = |n: usize| n.saturating_mul(usize::try_from(interleavings).unwrap_or(usize::MAX));
        for (sum, n) in [
            (&mut self.orders_of_events, 1),
            (&mut self.oversell, usize::from(order.oversold > 0)),
            (&mut self.undersell, usize::from(order.undersold > 0)),
            (&mut self.broken, usize::from(played.is_broken())),
            (&mut self.conflicts, order.conflicts),
            (&mut self.blocked, order.blocked),
            (&mut self.deadlocks, order.deadlocks),
            (&mut self.cut_off, usize::from(played.cut_off)),
        ] {
            *sum = sum.saturating_add(count(n));
        }
        let shorter = |than: &Vec<String>| played.order.len() < than.len();
        if played.is_broken() && self.shortest.as_ref().is_none_or(shorter) {
            self.shortest = Some(played.order.clone());
        }
        let better = |shown: &Played| match worth(&played).cmp(&worth(shown)) {
            std::cmp::Ordering::Equal => played.order.len() < shown.order.len(),
            order => order.is_gt(),
        };
        if self.shown.as_ref().is_none_or(better) {
            self.shown = Some(played);
        }
        self.orders.push(order);
    }

    /// Judges the promise after all interleavings have been played. If some were not, only what was found counts.
    pub(crate) fn judge(&mut self, seconds: f64) {
        self.seconds = seconds;
        let (kept, is_certain) = match self.promised {
            Oversells => (self.oversell > 0, self.oversell > 0),
            Undersells => (self.undersell > 0 && self.oversell == 0, self.oversell > 0),
            Deadlocks => (self.deadlocks > 0 && self.oversell == 0, self.oversell > 0),
            Holds => (self.broken == 0, self.broken > 0),
            // These promises are about time or about gates, which no interleaving of statements shows.
            MayBreak | Starves | Breaks | NoGate => {
                self.verdict = Verdict::Measured;
                return;
            }
        };
        self.verdict = match () {
            () if !self.is_whole() && !is_certain => Verdict::Invalid("not all interleavings were played".into()),
            () if kept => Verdict::AsPromised,
            () => Verdict::NotAsPromised,
        };
    }

    /// Whether all interleavings were played to their end.
    pub fn is_whole(&self) -> bool {
        self.not_followed == 0 && self.cut_off == 0
    }

    /// The version and variant: `v2-pessimistic process-lock`.
    pub fn title(&self) -> String {
        title(self.version, self.variant)
    }

    /// The caption of its picture.
    pub fn caption(&self) -> String {
        caption(&self.title(), self.buyers, self.stock)
    }

    /// Whether any interleaving breaks something.
    pub fn is_broken(&self) -> bool {
        self.broken > 0
    }

    /// What came out and what was promised: `holds, as promised`, or `holds; promised: oversells`.
    pub fn outcome(&self) -> String {
        let word = || match () {
            () if self.oversell > 0 => Oversells.to_string(),
            () if self.deadlocks > 0 => Deadlocks.to_string(),
            () if self.undersell > 0 => Undersells.to_string(),
            () if self.is_broken() => Breaks.to_string(),
            () => Holds.to_string(),
        };
        self.verdict.says(self.promised, word)
    }

    /// The result in one sentence.
    pub fn says(&self) -> String {
        let count = |n: usize| thousands(n as i64);
        let mut says = format!("{} of {} interleavings oversell", count(self.oversell), count(self.orders_of_events));
        for (n, what) in [
            (self.undersell, "undersell"),
            (self.conflicts, "conflicts"),
            (self.blocked, "waits for a lock"),
            (self.deadlocks, "deadlocks"),
            (self.cut_off, "cut off after too many steps"),
            (self.not_followed, "branches not followed: --orders has the bound"),
        ] {
            if n > 0 {
                says += &format!(", {} {what}", count(n));
            }
        }
        if let Some(classes) = self.classes {
            let played = if self.is_by_class() { ", one of each played" } else { "" };
            says += &format!(", {} classes{played}", count(classes));
        }
        format!("{says}: {}", self.outcome())
    }

    /// Whether only one interleaving of each class was played.
    pub fn is_by_class(&self) -> bool {
        self.orders.iter().any(|order| order.interleavings > 1)
    }
}

impl Replayed {
    /// The version and variant: `v2-pessimistic process-lock`.
    pub fn title(&self) -> String {
        title(self.version, self.variant)
    }

    /// The caption of its picture.
    pub fn caption(&self) -> String {
        caption(&self.title(), self.buyers, self.stock)
    }

    /// The result in one sentence.
    pub fn says(&self) -> String {
        format!("{} of {} the same: {}", self.same, self.times, self.played.outcome())
    }
}

fn caption(title: &str, buyers: usize, stock: i64) -> String {
    let s = |n: i64| if n == 1 { "" } else { "s" };
    format!("{title} · {buyers} buyer{}, {stock} unit{}", s(buyers as i64), s(stock))
}

impl Played {
    /// Whether the audit or the sale shows anything wrong.
    pub fn is_broken(&self) -> bool {
        !self.audit.is_sound() || self.audit.undersold > 0 || self.audit.not_conserved > 0
    }

    /// The outcome in words.
    pub fn outcome(&self) -> String {
        let audit = &self.audit;
        let told: Vec<_> = self.told.iter().map(|(buyer, told)| format!("{buyer} was told {told}")).collect();
        let end = match self.is_broken() {
            true if audit.oversold > 0 => format!("oversold by {}", audit.oversold),
            true if audit.undersold > 0 => format!("{} left, though a buyer was refused", audit.undersold),
            true => "not as it has to be".into(),
            false => "nothing oversold".into(),
        };
        let s = if audit.orders == 1 { "" } else { "s" };
        format!("{}; {} order{s}, `sold` says {}: {end}", told.join(", "), audit.orders, audit.sold)
    }
}

fn worth(played: &Played) -> Worth {
    let audit = &played.audit;
    let (deadlock, conflict) = (played.count(Mark::Deadlock) > 0, played.count(Mark::Conflict) > 0);
    (audit.oversold > 0, played.is_broken(), deadlock, conflict, played.blocked() > 0)
}

/// The promise for these buyers, each with its own instance.
fn promised(subject: &Subject) -> Promise {
    let promise = promise(Conditions {
        version: subject.version,
        variant: subject.variant,
        scenario: Scenario::Stampede,
        instances: subject.buyers,
        database: Database::Postgres,
        contended: true,
        crowded: true,
    });
    match promise {
        Oversells if subject.buyers as i64 <= subject.stock => MayBreak,
        // A buyer is refused only if another one got a unit first, and one more has to be left.
        Undersells if subject.stock < 2 => MayBreak,
        Oversells | Undersells | Deadlocks if subject.buyers < 2 => MayBreak,
        promise => promise,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{verdict::audit::Audit, version::Version};

    fn played(order: &str, oversold: i64) -> Played {
        let audit = Audit { oversold, ..Audit::default() };
        let order = order.split(' ').map(str::to_owned).collect();
        Played { order, steps: Vec::new(), told: BTreeMap::new(), audit, cut_off: false, footprints: Vec::new() }
    }

    fn explored(version: Version, plays: &[(&str, i64)]) -> Explored {
        let subject = Subject { version, variant: None, buyers: 2, stock: 1 };
        let mut explored = Explored::of(&subject);
        plays.iter().for_each(|(order, oversold)| explored.add(played(order, *oversold), false));
        explored.judge(1.0);
        explored
    }

    #[test]
    fn the_shortest_that_breaks_is_kept() {
        let found = explored(Version::V1, &[("a", 0), ("a b c", 1), ("c d", 1), ("e f", 1), ("g h i j", 1)]);
        assert_eq!((found.orders_of_events, found.oversell, found.broken), (5, 4, 4));
        assert_eq!(found.shortest, Some(vec!["c".to_owned(), "d".into()]));
        assert_eq!(found.shown.unwrap().order, ["c", "d"]);
    }

    #[test]
    fn a_version_is_held_to_its_promise_both_ways() {
        let verdict = |version, oversold| explored(version, &[("a", 0), ("b", oversold)]).verdict;
        assert_eq!(verdict(Version::V1, 1), Verdict::AsPromised);
        assert_eq!(verdict(Version::V1, 0), Verdict::NotAsPromised);
        assert_eq!(verdict(Version::V2, 0), Verdict::AsPromised);
        assert_eq!(verdict(Version::V3, 1), Verdict::NotAsPromised);
    }

    #[test]
    fn the_outcome_is_what_happened() {
        let outcome = |version, oversold| explored(version, &[("a", 0), ("b", oversold)]).outcome();
        assert_eq!(outcome(Version::V1, 1), "oversells, as promised");
        assert_eq!(outcome(Version::V1, 0), "holds; promised: oversells");
        assert_eq!(outcome(Version::V2, 0), "holds, as promised");
        assert_eq!(outcome(Version::V3, 1), "oversells; promised: holds");
    }
}
