//! Whether a run kept its promise. Holding where the table says that the version breaks is as wrong as the reverse.

use super::{
    audit::Audit,
    promise::Promise::{self, Breaks, Deadlocks, Holds, MayBreak, NoGate, Oversells, Starves, Undersells},
};
use crate::render::text::thousands;

/// The results of a run that promises refer to.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The audit of the sale.
    pub audit: &'a Audit,
    /// Whether the scenario's own figure passes; true if the scenario has none.
    pub figure_holds: bool,
    /// Whether bystanders starved who were well served before the crowd came.
    pub has_starved: bool,
    /// Honest buyers beside an attack whose answer came too late.
    pub late: usize,
    /// Buyers who were told that they have a unit; `None` if no run counted them.
    pub told_yes: Option<u64>,
    /// The audit of the bystanders' sale, if there is one.
    pub beside: Option<&'a Audit>,
    /// Deadlocks that the shops counted.
    pub deadlocks: u64,
    /// Whether the version may oversell, whatever the attack: chapter 1.
    pub may_oversell: bool,
}

impl<'a> Evidence<'a> {
    /// The evidence of an audit alone.
    pub fn of(audit: &'a Audit) -> Self {
        Evidence {
            audit,
            figure_holds: true,
            has_starved: false,
            late: 0,
            told_yes: None,
            beside: None,
            deadlocks: 0,
            may_oversell: false,
        }
    }

    /// Whether no promise to a buyer was broken, in this sale and in the bystanders' sale.
    fn is_sound(&self) -> bool {
        self.audit.is_sound() && self.beside.is_none_or(Audit::is_sound)
    }

    /// Whether every honest buyer got a unit while there were any.
    fn sold_its_stock(&self) -> bool {
        self.audit.undersold == 0 && self.beside.is_none_or(|beside| beside.undersold == 0) && self.late == 0
    }

    /// Orders whose buyers were not told of them, if these are more than half. Some answers may be lost with a connection.
    fn untold(&self) -> i64 {
        let untold = self.told_yes.map_or(0, |told| self.audit.orders - told as i64);
        if untold * 2 > self.audit.orders { untold } else { 0 }
    }

    /// Whether `sold` and the stores agree with the orders, in this sale and in the bystanders' sale.
    fn is_conserved(&self) -> bool {
        self.audit.not_conserved == 0 && self.beside.is_none_or(|beside| beside.not_conserved == 0)
    }

    /// The findings in a word or two each, the worst first; empty if there are none.
    pub fn findings(&self) -> Vec<String> {
        let audit = self.audit;
        let counts = [
            (audit.oversold, "oversold"),
            (audit.double_bought, "twice"),
            (audit.lost_promises, "lost"),
            (audit.phantom_orders, "phantom"),
            (audit.unfinished, "unfinished"),
            (audit.undersold, "undersold"),
            (audit.not_conserved, "unconserved"),
            (self.late as i64, "late"),
            (self.untold(), "untold"),
        ];
        let mut findings: Vec<_> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", thousands(*n))).collect();
        if let Some(beside) = self.beside {
            let wrong = [
                beside.oversold,
                beside.double_bought,
                beside.lost_promises,
                beside.phantom_orders,
                beside.unfinished,
                beside.undersold,
                beside.not_conserved,
            ];
            let wrong: i64 = wrong.iter().sum();
            findings.extend((wrong > 0).then(|| format!("{} beside", thousands(wrong))));
        }
        findings.extend((!self.figure_holds).then(|| "figure".to_owned()));
        findings
    }

    /// What came out: the word of the first promise that these results would have kept, else the findings.
    pub fn outcome(&self) -> String {
        let words = [Oversells, Holds, Starves, Deadlocks, Undersells, Breaks];
        let kept = words.into_iter().find(|word| word.kept(self));
        kept.map_or_else(|| self.findings().join(", "), |word| word.to_string())
    }
}

impl Promise {
    /// Whether there are orders that the promise rules out: a unit was sold twice, or a buyer got two. No invalid run excuses them.
    pub(super) fn is_broken_by_orders(self, run: &Evidence) -> bool {
        match self {
            Holds | Undersells | Deadlocks | Starves => run.audit.oversold > 0 || run.audit.double_bought > 0,
            Oversells | Breaks | MayBreak | NoGate => false,
        }
    }

    /// Whether the run did what was promised. A shop that refuses everyone does not hold, and does not break in the promised way.
    pub fn kept(self, run: &Evidence) -> bool {
        let (sound, sells) = (run.is_sound(), run.audit.orders > 0);
        match self {
            Holds => sound && run.is_conserved() && run.sold_its_stock() && run.untold() == 0 && run.figure_holds,
            Oversells => run.audit.oversold > 0,
            Undersells => sound && sells && run.audit.undersold > 0,
            Deadlocks => sound && sells && run.deadlocks > 0,
            Starves => sound && sells && run.has_starved,
            Breaks => sells && !run.figure_holds && (run.may_oversell || run.audit.oversold == 0),
            MayBreak | NoGate => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexpected_hold_is_as_wrong_as_an_unexpected_break() {
        let held = Audit { orders: 100, sold: 100, ..Audit::default() };
        let oversold = Audit { orders: 101, sold: 100, oversold: 1, not_conserved: 1, ..Audit::default() };
        let undersold = Audit { orders: 99, sold: 99, undersold: 1, ..Audit::default() };
        for (promise, kept_by) in [
            (Holds, [true, false, false]),
            (Oversells, [false, true, false]),
            (Undersells, [false, false, true]),
            (Deadlocks, [false, false, false]),
            (Starves, [false, false, false]),
            (Breaks, [false, false, false]),
            (MayBreak, [true, true, true]),
        ] {
            assert_eq!(
                [&held, &oversold, &undersold].map(|audit| promise.kept(&Evidence::of(audit))),
                kept_by,
                "{promise:?}"
            );
        }
        let deadlocked = |audit| Evidence { deadlocks: 1, ..Evidence::of(audit) };
        assert!(Deadlocks.kept(&deadlocked(&undersold)) && !Deadlocks.kept(&deadlocked(&oversold)));
    }

    #[test]
    fn the_figure_of_the_scenario_decides() {
        let sound = Audit { orders: 1, ..Audit::default() };
        for (promise, fine_keeps, bad_keeps) in
            [(Holds, true, false), (Breaks, false, true), (Starves, false, false), (MayBreak, true, true)]
        {
            let keeps = |figure_holds| promise.kept(&Evidence { figure_holds, ..Evidence::of(&sound) });
            assert_eq!((keeps(true), keeps(false)), (fine_keeps, bad_keeps), "{promise:?}");
        }
        let oversold = Audit { orders: 1, oversold: 1, ..Audit::default() };
        let breaks = |may_oversell| Evidence { figure_holds: false, may_oversell, ..Evidence::of(&oversold) };
        assert!(!Breaks.kept(&breaks(false)) && Breaks.kept(&breaks(true)), "only chapter 1 may oversell");
    }

    #[test]
    fn the_outcome_is_what_happened() {
        let (clean, beside) = (Audit { orders: 1, ..Audit::default() }, Audit::default());
        let oversold = Audit { oversold: 9, ..clean.clone() };
        let undersold = Audit { undersold: 31, ..clean.clone() };
        let lost = Audit { lost_promises: 5, ..clean.clone() };
        let sold = Audit { orders: 100, sold: 100, ..clean.clone() };
        let nothing = Audit { undersold: 31, ..Audit::default() };
        let torn = Audit { not_conserved: 3, ..clean.clone() };
        let slow = |audit| Evidence { figure_holds: false, ..Evidence::of(audit) };
        for (run, outcome) in [
            (Evidence::of(&clean), "holds"),
            (Evidence::of(&oversold), "oversells"),
            (slow(&oversold), "oversells"),
            (Evidence::of(&undersold), "undersells"),
            (Evidence { deadlocks: 1, ..Evidence::of(&undersold) }, "deadlocks"),
            (Evidence { deadlocks: 1, ..Evidence::of(&clean) }, "holds"),
            (slow(&clean), "breaks"),
            (slow(&undersold), "undersells"),
            (Evidence::of(&nothing), "31 undersold"),
            (Evidence { deadlocks: 1, ..Evidence::of(&nothing) }, "31 undersold"),
            (Evidence { beside: Some(&beside), has_starved: true, ..slow(&nothing) }, "31 undersold, figure"),
            (Evidence { beside: Some(&beside), has_starved: true, ..slow(&clean) }, "starves"),
            (Evidence { beside: Some(&beside), ..slow(&clean) }, "breaks"),
            (Evidence { beside: Some(&beside), has_starved: true, ..slow(&lost) }, "breaks"),
            (Evidence { late: 2, ..Evidence::of(&lost) }, "5 lost, 2 late"),
            (Evidence { beside: Some(&oversold), ..Evidence::of(&clean) }, "9 beside"),
            (Evidence { beside: Some(&torn), ..Evidence::of(&clean) }, "3 beside"),
            (Evidence { told_yes: Some(0), ..Evidence::of(&sold) }, "100 untold"),
            (Evidence { told_yes: Some(50), ..Evidence::of(&sold) }, "holds"),
        ] {
            assert_eq!(run.outcome(), outcome, "{run:?}");
            for promise in [Holds, Oversells, Undersells, Deadlocks, Starves, Breaks] {
                assert!(promise.kept(&run) || run.outcome() != promise.word(), "{promise:?} was not kept: {run:?}");
            }
        }
    }

    #[test]
    fn holding_means_no_finding_at_all() {
        let clean = Audit::default();
        for broken in [
            Audit { double_bought: 1, ..clean.clone() },
            Audit { lost_promises: 1, ..clean.clone() },
            Audit { phantom_orders: 1, ..clean.clone() },
            Audit { not_conserved: 1, ..clean.clone() },
            Audit { undersold: 1, ..clean.clone() },
        ] {
            assert!(!Holds.kept(&Evidence::of(&broken)), "{broken:?}");
        }
        assert!(Holds.kept(&Evidence::of(&Audit { unknown: 1, ..clean.clone() })));
        assert!(!Holds.kept(&Evidence { late: 1, ..Evidence::of(&clean) }), "after forty seconds");
    }
}
