//! What came of faults.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::file::{Figures, File, Kind};
use crate::{
    fault::Fault,
    render::text::thousands,
    verdict::{audit::Audit, money::Money},
};

/// How often an invalid round is played again, with another seed.
pub const REPEATS: usize = 3;

/// A file of faults. In one of schema 1 nobody knows whether a fault was in place, and a buyer who was told `queued` or `sold-out`
/// counted as recovery: all its rounds are invalid.
pub type Faults = File<Grid>;

/// Faults and their rounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grid {
    /// What the order of the buyers was drawn from; each round adds one.
    pub seed: u64,
    /// Fault by fault.
    pub faults: Vec<Rounds>,
}

impl Figures for Grid {
    const KIND: Kind = Kind::Faults;
}

/// A fault and the rounds in which it struck.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rounds {
    /// As the command line takes it: `redis-killed`, …
    pub fault: Fault,
    /// What came of each, in the order in which they were played; invalid ones and their repeats are among them.
    pub rounds: Vec<Round>,
}

/// One sale that was struck.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round {
    /// Units of the sale.
    pub stock: i64,
    /// Buyers in the crowd. Those who come one by one, and the last wave, come on top.
    pub buyers: usize,
    /// Instances of the shop.
    pub instances: usize,
    /// Order of the buyers.
    pub seed: u64,
    /// What came of it; judged once, when it was played.
    #[serde(default)]
    pub verdict: Verdict,
    /// What was done to the shop.
    #[serde(default)]
    pub strike: Strike,
    /// What buyers, database and servers say when laid side by side.
    #[serde(flatten)]
    pub audit: Audit,
    /// What the payment provider's ledger says beside the orders; `None` in a sale where nobody pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// All buyers by what they were told.
    pub outcomes: BTreeMap<String, u64>,
}

/// What a round, or all rounds of a fault, are worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was struck, nothing is lost or there twice, and one could buy again.
    Clean,
    /// A promise was broken, whether or not it was struck in time.
    Broken,
    /// It was not struck while at least half of the stock was unsold: it shows nothing.
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

/// What was done to a shop, and when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Strike {
    /// Milliseconds from the first buyer until the strike began.
    pub struck_ms: f64,
    /// Buyers who waited for an answer to their click then.
    pub in_flight: usize,
    /// Orders that were queued then and whose buyers did not know yet what became of them.
    pub unconfirmed: usize,
    /// What was struck, as far as the fault leaves a choice, and what the check has seen of it; empty if there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub seen: String,
    /// Milliseconds from the strike until the fault was in place, as a check has seen it; `None` if it never was.
    pub in_place_ms: Option<f64>,
    /// Units that can have been sold when the fault was in place: of buyers who were told yes, or waited for an answer.
    pub sold: usize,
    /// Milliseconds from the strike until what broke was up again.
    pub mended_ms: Option<f64>,
    /// Milliseconds from the strike until the instance was up again that the sale had to do without until then; `None` if there was
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_ms: Option<f64>,
    /// Milliseconds from the strike until an order was confirmed whose buyer had asked when the fault was in place; `None` if
    /// none was within a minute after it was mended.
    pub confirmed_ms: Option<f64>,
    /// The same from when what broke was up again; 0 if the shop did not need it.
    pub confirmed_after_mended_ms: Option<f64>,
}

impl Strike {
    /// Whether the fault was in place while at least half of the stock was unsold.
    pub fn is_in_time(&self, stock: i64) -> bool {
        self.in_place_ms.is_some() && 2 * self.sold as i64 <= stock
    }

    /// What a round with this strike is worth. A broken promise counts, also in a round that was not struck in time.
    pub(crate) fn judge(&self, fault: Fault, stock: i64, audit: &Audit) -> Verdict {
        let late = if fault.loses_reservations() { 0 } else { audit.late_rejects };
        let kept = audit.is_sound() && audit.not_conserved == 0 && audit.undersold == 0 && late == 0;
        match (kept, self.is_in_time(stock)) {
            (true, true) if self.confirmed_ms.is_some() => Verdict::Clean,
            (false, _) | (true, true) => Verdict::Broken,
            (true, false) => Verdict::Invalid,
        }
    }
}

impl Grid {
    /// The rounds of a fault; none yet if it is new to this file.
    pub fn of(&mut self, fault: Fault) -> &mut Rounds {
        let known = self.faults.iter().position(|rounds| rounds.fault == fault);
        let at = known.unwrap_or(self.faults.len());
        if known.is_none() {
            self.faults.push(Rounds { fault, rounds: Vec::new() });
        }
        &mut self.faults[at]
    }

    /// The worst of the faults.
    pub fn verdict(&self) -> Verdict {
        worst(self.faults.iter().map(Rounds::verdict))
    }
}

impl Rounds {
    /// Which round is to be played next, counted from 0, and which repeat of it that is; `None` if `wanted` rounds were struck
    /// in time, or if the last one was not, in all its repeats.
    pub fn next(&self, wanted: usize) -> Option<(usize, usize)> {
        let (struck, invalid) = (self.struck().count(), self.last_invalid());
        (struck < wanted && invalid <= REPEATS).then_some((struck, invalid))
    }

    /// The rounds that were struck in time. The others show nothing of the fault.
    pub fn struck(&self) -> impl Iterator<Item = &Round> {
        self.rounds.iter().filter(|round| round.is_struck())
    }

    /// Invalid rounds since the last one that was struck in time.
    fn last_invalid(&self) -> usize {
        self.rounds.iter().rev().take_while(|round| !round.is_struck()).count()
    }

    /// Broken if any round is; else invalid if none was struck in time, or one not in any of its repeats; else clean.
    pub fn verdict(&self) -> Verdict {
        let broken = self.rounds.iter().any(|round| round.verdict == Verdict::Broken);
        match (broken, self.struck().next()) {
            (true, _) => Verdict::Broken,
            (false, Some(_)) if self.last_invalid() <= REPEATS => Verdict::Clean,
            (false, _) => Verdict::Invalid,
        }
    }

    /// A figure, summed over all rounds, invalid ones among them.
    pub fn sum(&self, of: impl Fn(&Audit) -> i64) -> i64 {
        self.rounds.iter().map(|round| of(&round.audit)).sum()
    }

    /// A time of the rounds that were struck in time: the median and the worst. Never is later than any time.
    pub fn times(&self, of: impl Fn(&Strike) -> Option<f64>) -> [Option<f64>; 2] {
        let mut after: Vec<f64> = self.struck().map(|round| of(&round.strike).unwrap_or(f64::INFINITY)).collect();
        after.sort_by(f64::total_cmp);
        let known = |ms: Option<&f64>| ms.copied().filter(|ms| ms.is_finite());
        [known(after.get(after.len().saturating_sub(1) / 2)), known(after.last())]
    }
}

impl Round {
    /// Whether the fault was in place while at least half of the stock was unsold.
    pub fn is_struck(&self) -> bool {
        self.strike.is_in_time(self.stock)
    }

    /// Why it shows nothing; `None` if it was struck in time.
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

/// The worst of several: a broken promise before a check that shows nothing. Nothing at all shows nothing.
fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let verdicts: Vec<_> = verdicts.collect();
    let worst = [Verdict::Broken, Verdict::Invalid].into_iter().find(|verdict| verdicts.contains(verdict));
    worst.unwrap_or(if verdicts.is_empty() { Verdict::Invalid } else { Verdict::Clean })
}

#[cfg(test)]
mod tests;
