use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::{
    audit::Audit,
    machine::{Machine, commit},
    record::{self, SCHEMA},
};

/// A file of faults.
#[derive(Debug, Serialize, Deserialize)]
pub struct Faults {
    /// As of a file of runs.
    pub schema: u32,
    /// Where.
    pub machine: Machine,
    /// Of which commit, `-dirty` if the working tree differed; nothing outside a checkout.
    pub commit: Option<String>,
    /// What was typed.
    pub command: String,
    /// What the order of the buyers was drawn from; each round adds one.
    pub seed: u64,
    /// Fault by fault.
    pub faults: Vec<Rounds>,
}

/// A fault and the rounds in which it struck.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rounds {
    /// As the command line takes it: `redis-killed`, …
    pub fault: String,
    /// What came of each.
    pub rounds: Vec<Round>,
}

/// One sale that was struck.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round {
    /// Units of the sale.
    pub stock: i64,
    /// Buyers in the crowd. Those who try whether one can buy again come on top.
    pub buyers: usize,
    /// Instances of the shop.
    pub instances: usize,
    /// Order of the buyers.
    pub seed: u64,
    /// Units that were reserved when what was struck was dead. Without Redis nobody reserves: if none was left by then, it died
    /// too late. Without PostgreSQL and RabbitMQ buyers go on reserving while their many processes are still being killed.
    pub sold_when_struck: usize,
    /// What buyers, database and servers say when laid side by side.
    #[serde(flatten)]
    pub audit: Audit,
    /// All buyers by what they were told.
    pub outcomes: BTreeMap<String, u64>,
    /// Milliseconds from the strike until a buyer was told `queued` again, or that all is sold; nothing if none was within a
    /// minute.
    pub recovered_ms: Option<f64>,
}

impl Faults {
    /// A file of these, made here and now.
    pub fn new(seed: u64, faults: Vec<Rounds>) -> Faults {
        let (machine, command) = (Machine::this(), record::command());
        Faults { schema: SCHEMA, machine, commit: commit(), command, seed, faults }
    }

    /// Reads a file that [`Faults::write`] has written.
    ///
    /// # Errors
    /// It cannot be read, is cut off, is no such file, or is of a schema that this program does not know.
    pub fn read(path: &Path) -> anyhow::Result<Faults> {
        record::read(path)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        record::write(self, path)
    }

    /// Whether every round is clean.
    pub fn are_clean(&self) -> bool {
        self.faults.iter().all(Rounds::are_clean)
    }
}

impl Rounds {
    /// None yet.
    pub fn of(fault: Fault) -> Rounds {
        Rounds { fault: fault.to_string(), rounds: Vec::new() }
    }

    /// Whether every round is clean.
    pub fn are_clean(&self) -> bool {
        self.rounds.iter().all(Round::is_clean)
    }

    /// A figure, summed over the rounds.
    pub fn sum(&self, of: impl Fn(&Audit) -> i64) -> i64 {
        self.rounds.iter().map(|round| of(&round.audit)).sum()
    }

    /// Milliseconds until one could buy again: the median and the worst of the rounds. Never is later than any time.
    pub fn recovered_ms(&self) -> [Option<f64>; 2] {
        let mut after: Vec<f64> = self.rounds.iter().map(|round| round.recovered_ms.unwrap_or(f64::INFINITY)).collect();
        after.sort_by(f64::total_cmp);
        let known = |ms: Option<&f64>| ms.copied().filter(|ms| ms.is_finite());
        [known(after.get(after.len().saturating_sub(1) / 2)), known(after.last())]
    }
}

impl Round {
    /// Whether no unit and no promise is lost or there twice, and one could buy again. Units may be left if buyers were told to
    /// come back later.
    pub fn is_clean(&self) -> bool {
        self.audit.is_sound() && self.audit.not_conserved == 0 && self.recovered_ms.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(recovered: &[Option<f64>]) -> Rounds {
        let round = |&recovered_ms: &Option<f64>| Round {
            stock: 10,
            buyers: 20,
            instances: 2,
            seed: 1,
            sold_when_struck: 3,
            audit: Audit { orders: 10, sold: 10, ..Audit::default() },
            outcomes: BTreeMap::new(),
            recovered_ms,
        };
        Rounds { fault: "redis-killed".into(), rounds: recovered.iter().map(round).collect() }
    }

    #[test]
    fn never_is_later_than_any_time() {
        assert_eq!(rounds(&[Some(3.0), None, Some(1.0)]).recovered_ms(), [Some(3.0), None]);
        assert_eq!(rounds(&[Some(4.0), Some(2.0)]).recovered_ms(), [Some(2.0), Some(4.0)]);
        assert_eq!(rounds(&[None]).recovered_ms(), [None, None]);
    }

    #[test]
    fn one_round_that_is_not_clean_is_enough() {
        assert!(rounds(&[Some(1.0), Some(1.0)]).are_clean());
        assert!(!rounds(&[Some(1.0), None]).are_clean(), "one cannot buy any more");
        for audit in [Audit { not_conserved: 1, ..Audit::default() }, Audit { lost_promises: 1, ..Audit::default() }] {
            let mut rounds = rounds(&[Some(1.0), Some(1.0)]);
            rounds.rounds[1].audit = audit;
            assert!(!rounds.are_clean(), "{rounds:?}");
        }
        let mut late = rounds(&[Some(1.0)]);
        late.rounds[0].audit = Audit { orders: 9, sold: 9, late_rejects: 5, unknown: 3, ..Audit::default() };
        assert!(late.are_clean(), "a late no is a no");
    }
}
