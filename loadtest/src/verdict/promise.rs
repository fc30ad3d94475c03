//! The table of promises: what each version should do in each scenario.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    lab::database::Database,
    scenario::{SCENARIOS, Scenario},
    version::{Variant, Version},
};

/// What should happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Nothing is oversold, bought twice, lost, phantom or not conserved. Every honest buyer gets a unit while there are any. The
    /// scenario's own figure passes.
    Holds,
    /// More orders than stock.
    Oversells,
    /// Units are left although buyers were refused. It never oversells.
    Undersells,
    /// The database aborts buyers in a deadlock. It never oversells.
    Deadlocks,
    /// Buyers of another sale wait at least five times as long.
    Starves,
    /// The scenario's own figure does not pass.
    Breaks,
    /// Either outcome is right; the figure is only measured.
    #[serde(alias = "may break")]
    MayBreak,
    /// Not applicable: the version lacks the gate that the scenario attacks.
    #[serde(alias = "–")]
    NoGate,
}

use Promise::{Breaks, Deadlocks, Holds, MayBreak, NoGate, Oversells, Starves, Undersells};

/// The promises of a version. The columns are in the order of [`SCENARIOS`].
#[rustfmt::skip]
fn row(version: Version) -> [Promise; SCENARIOS.len()] {
    match version {
        //              stampede   bystander flood     scalper early bird forger  office    instances  restart
        Version::V1 => [Oversells, MayBreak, MayBreak, Breaks, Breaks,    NoGate, MayBreak, Oversells, MayBreak],
        Version::V2 => [Holds,     Starves,  MayBreak, Breaks, Breaks,    NoGate, Holds,    Holds,     Holds],
        Version::V3 => [Holds,     MayBreak, MayBreak, Breaks, Breaks,    NoGate, Holds,    Holds,     Holds],
        Version::V4 => [Holds,     MayBreak, Holds,    Breaks, Breaks,    NoGate, Breaks,   Holds,     Holds],
        Version::V5 => [Holds,     MayBreak, Holds,    Holds,  Holds,     Holds,  Breaks,   Breaks,    Breaks],
        Version::V6 => [Holds,     Holds,    Holds,    Holds,  Holds,     Holds,  Holds,    Holds,     Holds],
    }
}

/// The conditions of a run that decide what is promised.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The version.
    pub version: Version,
    /// Its variant, if it runs one.
    pub variant: Option<Variant>,
    /// The scenario.
    pub scenario: Scenario,
    /// The number of instances.
    pub instances: usize,
    /// The kind of database.
    pub database: Database,
    /// Whether the load is large enough for something to break.
    pub contended: bool,
    /// Whether several buyers want a unit of the same stock at the same time.
    pub crowded: bool,
}

/// The promise under these conditions.
pub fn promise(run: Conditions) -> Promise {
    let many = run.instances > 1;
    let scenario = match run.scenario {
        Scenario::Stampede if many => Scenario::TwoInstances,
        scenario => scenario,
    };
    let promise = match (run.variant, scenario) {
        (None, _) => of_version(run.version, scenario),
        (Some(variant), Scenario::Stampede | Scenario::TwoInstances) => of_variant(variant, many, run.database),
        (Some(_), _) => MayBreak, // the table does not cover variants here
    };
    match promise {
        // A version can break only under enough load.
        Oversells | Undersells | Starves | Breaks if !run.contended => MayBreak,
        Deadlocks if !run.crowded => MayBreak,
        promise => promise,
    }
}

/// The promise of a version under the default conditions.
pub fn of_version(version: Version, scenario: Scenario) -> Promise {
    row(version)[scenario as usize]
}

fn of_variant(variant: Variant, many: bool, database: Database) -> Promise {
    match (variant, database) {
        (Variant::Transaction, Database::Sqlite) => MayBreak, // SQLite's transactions are serializable
        (Variant::Transaction, Database::Postgres) => Oversells,
        (Variant::ProcessLock, _) => {
            if many {
                Oversells
            } else {
                Holds
            }
        }
        (Variant::InsertFirst, _) => Deadlocks,
        (Variant::NoRetry, _) => Undersells,
        (Variant::Serializable | Variant::Conditional, _) => Holds,
    }
}

impl Promise {
    /// The word in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Holds => "holds",
            Oversells => "oversells",
            Undersells => "undersells",
            Deadlocks => "deadlocks",
            Starves => "starves",
            Breaks => "breaks",
            MayBreak => "may break",
            NoGate => "–",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(version: Version, variant: Option<Variant>, scenario: Scenario, instances: usize) -> Promise {
        promise(Conditions {
            version,
            variant,
            scenario,
            instances,
            database: Database::Postgres,
            contended: true,
            crowded: true,
        })
    }

    #[test]
    fn variants_have_their_own_promises() {
        let stampede = |version, variant, instances| under(version, Some(variant), Scenario::Stampede, instances);
        assert_eq!(stampede(Version::V1, Variant::Transaction, 1), Oversells);
        assert_eq!(stampede(Version::V2, Variant::ProcessLock, 1), Holds);
        assert_eq!(stampede(Version::V2, Variant::ProcessLock, 2), Oversells);
        assert_eq!(stampede(Version::V2, Variant::InsertFirst, 1), Deadlocks);
        assert_eq!(stampede(Version::V3, Variant::NoRetry, 1), Undersells);
        assert_eq!(stampede(Version::V3, Variant::Conditional, 1), Holds);
    }

    #[test]
    fn a_limit_by_address_breaks_for_an_office_that_is_large_enough() {
        for (version, contended, expected) in [
            (Version::V4, true, Breaks),
            (Version::V5, true, Breaks),
            (Version::V4, false, MayBreak),
            (Version::V3, false, Holds),
        ] {
            let run = Conditions {
                version,
                variant: None,
                scenario: Scenario::Office,
                instances: 1,
                database: Database::Sqlite,
                crowded: true,
                contended,
            };
            assert_eq!(promise(run), expected, "{run:?}");
        }
    }

    #[test]
    fn two_instances_are_a_column_of_their_own() {
        assert_eq!(under(Version::V5, None, Scenario::Stampede, 1), Holds);
        assert_eq!(under(Version::V5, None, Scenario::Stampede, 2), Breaks);
        assert_eq!(under(Version::V2, None, Scenario::Stampede, 2), Holds);
    }
}
