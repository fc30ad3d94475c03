//! What each version promises of each scenario, in one place; and whether a run kept it. A version that suddenly holds
//! where it is to break is as wrong as one that breaks where it is to hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::audit::Audit;
use crate::{
    lab::database::Database,
    record::{Bystander, HonestBuyers},
    scenario::{Measure, SCENARIOS, Scenario},
    text::thousands,
    version::{Variant, Version},
};

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promise {
    /// Nothing is oversold, double-bought, lost, phantom or unconserved; every honest buyer has a unit as far as there are any;
    /// and the scenario's figure is as it has to be.
    Holds,
    /// More orders than stock.
    Oversells,
    /// Stock is left, though buyers were refused for it. Never oversold.
    Undersells,
    /// The database ends buyers who have locked each other out. Never oversold.
    Deadlocks,
    /// Buyers of another sale wait, five times as long and more.
    Starves,
    /// The scenario's figure is not as it would have to be.
    Breaks,
    /// Either; measured, never wrong.
    #[serde(alias = "may break")]
    MayBreak,
    /// There is nothing that could hold: the scenario attacks a gate that the version does not have.
    #[serde(alias = "–")]
    NoGate,
}

use Promise::{Breaks, Deadlocks, Holds, MayBreak, NoGate, Oversells, Starves, Undersells};

/// The promises of a version. Columns as in [`SCENARIOS`].
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

/// The conditions of a run that decide what may be asked of it.
#[derive(Debug, Clone, Copy)]
pub struct Conditions {
    /// The version.
    pub version: Version,
    /// Its variant.
    pub variant: Option<Variant>,
    /// What it is put through.
    pub scenario: Scenario,
    /// Instances of it.
    pub instances: usize,
    /// Where the rows are.
    pub database: Database,
    /// Whether there is enough of a crowd, or of an attack, for something to break.
    pub contended: bool,
    /// Whether several buyers at once want a unit that is there.
    pub crowded: bool,
}

/// What is promised under these conditions.
pub fn promise(run: Conditions) -> Promise {
    let many = run.instances > 1;
    let scenario = match run.scenario {
        Scenario::Stampede if many => Scenario::TwoInstances,
        scenario => scenario,
    };
    let promise = match (run.variant, scenario) {
        (None, _) => of_version(run.version, scenario),
        (Some(variant), Scenario::Stampede | Scenario::TwoInstances) => of_variant(variant, many, run.database),
        (Some(_), _) => MayBreak, // the table is about the versions
    };
    match promise {
        // What needs a crowd, or more than one try, to break.
        Oversells | Undersells | Starves | Breaks if !run.contended => MayBreak,
        Deadlocks if !run.crowded => MayBreak,
        promise => promise,
    }
}

/// What a version itself promises, in the book's conditions.
pub fn of_version(version: Version, scenario: Scenario) -> Promise {
    row(version)[scenario as usize]
}

fn of_variant(variant: Variant, many: bool, database: Database) -> Promise {
    match (variant, database) {
        (Variant::Transaction, Database::Sqlite) => MayBreak, // serializable there
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

/// What came out of a run, as far as promises are about it.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What buyers and database say.
    pub audit: &'a Audit,
    /// The scenario's figure.
    pub measure: Option<&'a Measure>,
    /// The honest buyers beside an attack.
    pub honest: Option<&'a HonestBuyers>,
    /// The buyers of another sale.
    pub bystander: Option<&'a Bystander>,
    /// Deadlocks that the shops counted.
    pub deadlocks: u64,
}

impl<'a> Evidence<'a> {
    /// Of an audit alone.
    pub fn of(audit: &'a Audit) -> Self {
        Evidence { audit, measure: None, honest: None, bystander: None, deadlocks: 0 }
    }

    /// Whether no promise to a buyer was broken, in this sale or in the bystanders'.
    fn is_sound(&self) -> bool {
        self.audit.is_sound() && self.bystander.is_none_or(|beside| beside.audit.is_sound())
    }

    /// Whether every honest buyer got a unit, as far as there were any.
    fn sold_its_stock(&self) -> bool {
        self.audit.undersold == 0
            && self.bystander.is_none_or(|beside| beside.audit.undersold == 0)
            && self.honest.is_none_or(|honest| honest.late == 0)
    }

    /// What keeps it from holding, in a word or two each, the worst first.
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
            (self.honest.map_or(0, |honest| honest.late as i64), "late"),
        ];
        let mut findings: Vec<_> =
            counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", thousands(*n))).collect();
        if let Some(beside) = self.bystander {
            let audit = &beside.audit;
            let wrong = audit.double_bought + audit.lost_promises + audit.phantom_orders + audit.undersold;
            findings.extend((wrong > 0).then(|| format!("{} beside", thousands(wrong))));
        }
        findings.extend((!self.figure_holds()).then(|| "figure".to_owned()));
        findings
    }

    fn figure_holds(&self) -> bool {
        self.measure.is_none_or(|measure| measure.holds)
    }
}

impl Promise {
    /// Whether the run did what was promised. A shop that refuses everybody holds nothing.
    pub fn kept(self, run: &Evidence) -> bool {
        let sound = run.is_sound();
        match self {
            Holds => sound && run.audit.not_conserved == 0 && run.sold_its_stock() && run.figure_holds(),
            Oversells => run.audit.oversold > 0,
            Undersells => sound && run.audit.undersold > 0,
            Deadlocks => sound && run.deadlocks > 0,
            Starves => sound && !run.figure_holds(),
            Breaks => !run.figure_holds(),
            MayBreak | NoGate => true,
        }
    }

    /// The word for the tables.
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
mod tests;
