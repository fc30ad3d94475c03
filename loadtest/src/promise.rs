//! What each version promises of each scenario, in one place; and whether a run kept it. A version that suddenly holds
//! where it is to break is as wrong as one that breaks where it is to hold.

use crate::{audit::Audit, record::Bystander, version::Version};

/// The times by which a bystander's p99 grows before we say that it starves.
pub const STARVES: f64 = 5.0;

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// Nothing oversold, undersold, double-bought or lost.
    Holds,
    /// More orders than stock.
    Oversells,
    /// Stock is left, though buyers were refused for it. Never oversold.
    Undersells,
    /// The database ends buyers who have locked each other out. Never oversold.
    Deadlocks,
    /// Buyers of another sale wait, five times as long and more.
    Starves,
    /// Either; measured, never wrong.
    MayBreak,
}

/// The conditions of a run that decide what may be asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    /// The version.
    pub version: Version,
    /// Its variant.
    pub variant: Option<&'a str>,
    /// Instances of it.
    pub instances: usize,
    /// Whether a second sale's buyers are what is measured.
    pub bystander: bool,
    /// `sqlite` or `postgres`.
    pub database: &'a str,
    /// Whether the crowd is one: more buyers than stock, and more than one at a time.
    pub contended: bool,
}

/// What is promised under these conditions.
pub fn promise(run: Conditions) -> Promise {
    use Promise::{Deadlocks, Holds, MayBreak, Oversells, Starves, Undersells};
    let broken = match (run.version, run.variant, run.bystander) {
        (Version::V2, None, true) => Starves,
        (_, _, true) => MayBreak,
        (Version::V1, Some("transaction"), _) if run.database == "sqlite" => MayBreak, // serializable there
        (Version::V1, ..) => Oversells,
        (Version::V2, Some("process-lock"), _) if run.instances > 1 => Oversells,
        (Version::V2, Some("insert-first"), _) => return Deadlocks,
        (Version::V3, Some("no-retry"), _) => Undersells,
        _ => return Holds,
    };
    if run.contended { broken } else { MayBreak }
}

impl Promise {
    /// Whether the run did what was promised.
    pub fn kept(self, audit: &Audit, deadlocks: u64, bystander: Option<&Bystander>) -> bool {
        let sound = audit.is_sound() && bystander.is_none_or(|bystander| bystander.audit.is_sound());
        let times = bystander.and_then(|bystander| bystander.p99_ratio);
        match self {
            Promise::Holds => sound && audit.undersold == 0 && audit.not_conserved == 0,
            Promise::Oversells => audit.oversold > 0,
            Promise::Undersells => sound && audit.undersold > 0,
            Promise::Deadlocks => sound && deadlocks > 0,
            Promise::Starves => sound && times.is_some_and(|times| times >= STARVES),
            Promise::MayBreak => true,
        }
    }

    /// The word for the table and the JSON.
    pub fn word(self) -> &'static str {
        match self {
            Promise::Holds => "holds",
            Promise::Oversells => "oversells",
            Promise::Undersells => "undersells",
            Promise::Deadlocks => "deadlocks",
            Promise::Starves => "starves",
            Promise::MayBreak => "may break",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stampede(version: Version, variant: Option<&str>, instances: usize) -> Promise {
        let (database, bystander, contended) = ("postgres", false, true);
        promise(Conditions { version, variant, instances, bystander, database, contended })
    }

    #[test]
    fn a_version_that_suddenly_holds_is_as_wrong_as_one_that_breaks() {
        let held = Audit { orders: 100, sold: 100, ..Audit::default() };
        let oversold = Audit { orders: 101, sold: 100, oversold: 1, not_conserved: 1, ..Audit::default() };
        let undersold = Audit { orders: 99, sold: 99, undersold: 1, ..Audit::default() };
        for (promise, kept_by) in [
            (Promise::Holds, [true, false, false]),
            (Promise::Oversells, [false, true, false]),
            (Promise::Undersells, [false, false, true]),
            (Promise::Deadlocks, [false, false, false]),
            (Promise::Starves, [false, false, false]),
            (Promise::MayBreak, [true, true, true]),
        ] {
            assert_eq!(
                [&held, &oversold, &undersold].map(|audit| promise.kept(audit, 0, None)),
                kept_by,
                "{promise:?}"
            );
        }
        assert!(Promise::Deadlocks.kept(&undersold, 1, None) && !Promise::Deadlocks.kept(&oversold, 1, None));
    }

    #[test]
    fn holding_means_no_finding_at_all() {
        let clean = Audit::default();
        for broken in [
            Audit { double_bought: 1, ..clean.clone() },
            Audit { lost_promises: 1, ..clean.clone() },
            Audit { phantom_orders: 1, ..clean.clone() },
            Audit { not_conserved: 1, ..clean.clone() },
        ] {
            assert!(!Promise::Holds.kept(&broken, 0, None), "{broken:?}");
        }
        assert!(Promise::Holds.kept(&Audit { unknown: 1, ..clean }, 0, None));
    }

    #[test]
    fn variants_have_promises_of_their_own() {
        assert_eq!(stampede(Version::V1, None, 1), Promise::Oversells);
        assert_eq!(stampede(Version::V1, Some("transaction"), 1), Promise::Oversells);
        assert_eq!(stampede(Version::V2, None, 2), Promise::Holds);
        assert_eq!(stampede(Version::V2, Some("process-lock"), 1), Promise::Holds);
        assert_eq!(stampede(Version::V2, Some("process-lock"), 2), Promise::Oversells);
        assert_eq!(stampede(Version::V2, Some("insert-first"), 1), Promise::Deadlocks);
        assert_eq!(stampede(Version::V3, Some("no-retry"), 1), Promise::Undersells);
        assert_eq!(stampede(Version::V3, Some("conditional"), 1), Promise::Holds);
    }
}
