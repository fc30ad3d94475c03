//! The records of the fault runs.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{
    compare::spread::Spread,
    fault::AnyFault,
    render::text::thousands,
    verdict::{audit::Audit, money::Money},
};

/// How often an invalid round is repeated, each time with another seed.
pub const REPEATS: usize = 3;

/// A file of faults. In files of schema 1 it is unknown whether a fault was in place, and an answer of `queued` or `sold-out`
/// counted as recovery. So all rounds of such a file are invalid.
pub type Faults = File<Grid>;

/// The faults and their rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grid {
    /// The seed of the first round. Each further round adds one.
    pub seed: u64,
    /// Further arguments of the shops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shop_args: Vec<String>,
    /// The records of each fault.
    pub faults: Vec<Rounds>,
}

impl Figures for Grid {
    const KIND: Kind = Kind::Faults;
}

/// One fault and its rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rounds {
    /// The fault's name on the command line: `redis-killed`, …
    pub fault: AnyFault,
    /// The rounds in the order in which they were played, with invalid ones and their repeats.
    pub rounds: Vec<Round>,
}

/// One sale during which a fault was injected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round {
    /// Units of the sale.
    pub stock: i64,
    /// Buyers in the crowd. The buyers who come one by one and those of the last wave are not counted.
    pub buyers: usize,
    /// Instances of the shop.
    pub instances: usize,
    /// The seed for the order of the buyers.
    pub seed: u64,
    /// The verdict, reached once when the round was played.
    #[serde(default)]
    pub verdict: Verdict,
    /// The fault's injection and recovery.
    #[serde(default)]
    pub strike: Strike,
    /// The audit of the sale.
    #[serde(flatten)]
    pub audit: Audit,
    /// The audit of the money; `None` if buyers do not pay in this round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// Answers of nginx to buyers that were worse than a 503 with `Retry-After`; `None` without nginx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse_answers: Option<u64>,
    /// The number of buyers by their last answer.
    pub outcomes: BTreeMap<String, u64>,
}

/// The verdict on a round, or on all rounds of a fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The fault was in place in time, nothing is lost or doubled, and the shop sold again.
    Clean,
    /// A promise was broken, whether or not the fault was in place in time.
    Broken,
    /// The fault was not in place while at least half of the stock was unsold, so the round shows nothing.
    #[default]
    Invalid,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Verdict::Clean => "clean",
            Verdict::Broken => "broken",
            Verdict::Invalid => "invalid",
        })
    }
}

/// The injection of a fault and the recovery from it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strike {
    /// Milliseconds from the first buyer to the start of the strike.
    pub struck_ms: f64,
    /// Buyers who waited for the answer to their click at that moment.
    pub in_flight: usize,
    /// Queued orders without a result at that moment.
    pub unconfirmed: usize,
    /// What was struck, if the fault has a choice, and what the check saw. Empty if there is nothing to add.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seen: String,
    /// Milliseconds from the strike until a check saw the fault in place; `None` if none did.
    pub in_place_ms: Option<f64>,
    /// The most units that can have been sold by then: buyers with a yes, plus buyers who waited for an answer.
    pub sold: usize,
    /// Milliseconds from the strike until the broken part was up again.
    pub mended_ms: Option<f64>,
    /// Milliseconds from the strike until the instance that had failed was up again; `None` if no instance had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_ms: Option<f64>,
    /// Milliseconds from the strike until the first order was confirmed whose buyer asked while the fault was in place. `None` if
    /// there was none within a minute after the repair.
    pub confirmed_ms: Option<f64>,
    /// Milliseconds from the repair until that order was confirmed; 0 if it came before the repair.
    pub confirmed_after_mended_ms: Option<f64>,
}

impl Strike {
    /// Whether the fault was in place while at least half of the stock was unsold.
    pub fn is_in_time(&self, stock: i64) -> bool {
        self.in_place_ms.is_some() && 2 * self.sold as i64 <= stock
    }

    /// The verdict on a round with this strike. A broken promise counts even if the fault was not in place in time.
    pub(crate) fn judge(&self, fault: impl Into<AnyFault>, stock: i64, audit: &Audit) -> Verdict {
        let late = if fault.into().loses_reservations() { 0 } else { audit.late_rejects };
        let kept = audit.is_sound() && audit.not_conserved == 0 && audit.undersold == 0 && late == 0;
        match (kept, self.is_in_time(stock)) {
            (true, true) if self.confirmed_ms.is_some() => Verdict::Clean,
            (false, _) | (true, true) => Verdict::Broken,
            (true, false) => Verdict::Invalid,
        }
    }
}

impl Grid {
    /// The rounds of a fault; empty if the file does not have it yet.
    pub fn of(&mut self, fault: impl Into<AnyFault>) -> &mut Rounds {
        let fault = fault.into();
        let known = self.faults.iter().position(|rounds| rounds.fault == fault);
        let at = known.unwrap_or(self.faults.len());
        if known.is_none() {
            self.faults.push(Rounds { fault, rounds: Vec::new() });
        }
        &mut self.faults[at]
    }

    /// The worst verdict of all faults.
    pub fn verdict(&self) -> Verdict {
        worst(self.faults.iter().map(Rounds::verdict))
    }
}

impl Rounds {
    /// The next round to play, counted from 0, and its repeat. `None` if `wanted` rounds are valid, or if the last round and all
    /// of its repeats were invalid.
    pub fn next(&self, wanted: usize) -> Option<(usize, usize)> {
        let (struck, invalid) = (self.struck().count(), self.last_invalid());
        (struck < wanted && invalid <= REPEATS).then_some((struck, invalid))
    }

    /// The valid rounds. The others show nothing about the fault.
    pub fn struck(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(|round| round.is_struck())
    }

    /// The number of invalid rounds since the last valid one.
    fn last_invalid(&self) -> usize {
        self.rounds.iter().rev().take_while(|round| !round.is_struck()).count()
    }

    /// Broken if any round is. Otherwise invalid if no round is valid, or if a round was invalid in all of its repeats. Otherwise
    /// clean.
    pub fn verdict(&self) -> Verdict {
        let broken = self.rounds.iter().any(|round| round.verdict == Verdict::Broken);
        match (broken, self.struck().next()) {
            (true, _) => Verdict::Broken,
            (false, Some(_)) if self.last_invalid() <= REPEATS => Verdict::Clean,
            (false, _) => Verdict::Invalid,
        }
    }

    /// A figure summed over all rounds, including invalid ones.
    pub fn sum(&self, of: impl Fn(&Audit) -> i64) -> i64 {
        self.rounds.iter().map(|round| of(&round.audit)).sum()
    }

    /// The median and the largest of a time over the valid rounds. `None` counts as larger than any time.
    pub fn times(&self, of: impl Fn(&Strike) -> Option<f64>) -> [Option<f64>; 2] {
        let after: Vec<f64> = self.struck().map(|round| of(&round.strike).unwrap_or(f64::INFINITY)).collect();
        let spread = Spread::of(&after);
        [spread.map(|spread| spread.median), spread.map(|spread| spread.max)].map(|ms| ms.filter(|ms| ms.is_finite()))
    }
}

impl Round {
    /// Whether the fault was in place while at least half of the stock was unsold.
    pub fn is_struck(&self) -> bool {
        self.strike.is_in_time(self.stock)
    }

    /// Why the round is invalid; `None` if it is valid.
    pub fn why_invalid(&self) -> Option<String> {
        let Strike { in_place_ms, sold, .. } = self.strike;
        match in_place_ms {
            None => Some("the fault was not in place".into()),
            Some(_) if self.is_struck() => None,
            Some(_) => {
                let [sold, stock] = [sold as i64, self.stock].map(thousands);
                Some(format!("{sold} of {stock} units were sold when the fault was in place"))
            }
        }
    }
}

/// The worst of several verdicts: broken, then invalid, then clean. Without any verdict the result is invalid.
fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let verdicts: Vec<_> = verdicts.collect();
    let worst = [Verdict::Broken, Verdict::Invalid].into_iter().find(|verdict| verdicts.contains(verdict));
    worst.unwrap_or(if verdicts.is_empty() { Verdict::Invalid } else { Verdict::Clean })
}

#[cfg(test)]
mod tests;
