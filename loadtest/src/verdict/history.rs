//! The answers that buyers got. The audit compares them with [`crate::verdict::ledger`].

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// The last answer to one buyer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The buyer has this order.
    Bought {
        /// The order's id.
        order_id: i64,
    },
    /// The buyer was refused, with the `type` of the problem document (`other` if no version gives this type), or `expired` or `failed` of
    /// an order that was queued.
    Refused(String),
    /// The order is queued. As the last answer, it is a promise that was not kept.
    Queued {
        /// The order's id.
        order_id: i64,
    },
    /// No answer, a broken one, or an internal error. The order may or may not exist.
    Unknown,
}

impl Answer {
    /// A word for it: `bought`, `queued`, `unknown`, or the refusal's type.
    pub fn kind(&self) -> &str {
        match self {
            Answer::Bought { .. } => "bought",
            Answer::Refused(kind) => kind,
            Answer::Queued { .. } => "queued",
            Answer::Unknown => "unknown",
        }
    }
}

/// The kinds of answers: the words of [`Answer::kind`]. All but the last are those that the versions give.
pub(crate) const KINDS: [&str; 22] = [
    "bought",
    "queued",
    "unknown",
    "sold-out",
    "conflict",
    "limit-reached",
    "not-open",
    "blocked",
    "closed",
    "wrong-path",
    "wrong-answer",
    "rate-limited",
    "overloaded",
    "cross-site",
    "unauthenticated",
    "not-found",
    "invalid-request",
    "key-reused",
    "declined",
    "expired",
    "failed",
    OTHER,
];

/// The kind of a refusal whose problem type no version gives.
const OTHER: &str = "other";

/// The kinds that are not the `type` of a problem document.
const NOT_PROBLEMS: [&str; 6] = ["bought", "queued", "unknown", "expired", "failed", OTHER];

/// The kind of a refusal with this problem type. An unknown type is `other`, because text of a foreign shop must reach neither the
/// terminal nor the counts of other kinds.
pub(crate) fn refusal(problem: &str) -> &'static str {
    let known = KINDS.into_iter().find(|kind| *kind == problem && !NOT_PROBLEMS.contains(kind));
    known.unwrap_or(OTHER)
}

/// One buyer, from the click to the answer.
#[derive(Debug, Clone)]
pub struct Told {
    /// The buyer.
    pub buyer_id: i64,
    /// The sale.
    pub sale_id: i64,
    /// When the buyer wanted to buy, since the barrier.
    pub wanted: Duration,
    /// When the request was sent, since the barrier. The buyer may have waited for a connection before that.
    pub sent: Duration,
    /// When the answer came, since the barrier.
    pub answered: Duration,
    /// The answer.
    pub answer: Answer,
}

impl Told {
    /// Whether the buyer was served: it got a unit, or was told `sold-out` when the sale was really sold out. A false `sold-out` does not count.
    pub fn is_served(&self, sold_out: bool) -> bool {
        match &self.answer {
            Answer::Bought { .. } => true,
            Answer::Refused(kind) => sold_out && kind == "sold-out",
            Answer::Queued { .. } | Answer::Unknown => false,
        }
    }

    /// From when the buyer wanted to buy to the answer. The wait for a free connection counts. Without it, slow answers would delay and
    /// hide later requests (coordinated omission).
    pub fn latency(&self) -> Duration {
        self.answered.saturating_sub(self.wanted)
    }

    /// From when the request was sent to the answer: the shop's time for this buyer, without the wait before.
    pub fn service_time(&self) -> Duration {
        self.answered.saturating_sub(self.sent)
    }
}

/// The number of buyers by kind of answer.
pub fn outcomes(history: &[Told]) -> BTreeMap<String, u64> {
    let mut outcomes = BTreeMap::new();
    for told in history {
        *outcomes.entry(told.answer.kind().to_owned()).or_default() += 1;
    }
    outcomes
}

/// The number of buyers with this kind of answer.
pub(crate) fn told(history: &[Told], kind: &str) -> usize {
    history.iter().filter(|told| told.answer.kind() == kind).count()
}

/// The number of buyers who got a unit.
pub(crate) fn bought(history: &[Told]) -> usize {
    history.iter().filter(|told| matches!(told.answer, Answer::Bought { .. })).count()
}

/// A point in time, and how many buyers had an answer by then.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Moment {
    /// Milliseconds since the barrier.
    pub ms: f64,
    /// Buyers who got a unit.
    pub bought: i64,
    /// Buyers who were refused.
    pub refused: i64,
}

/// The history as a curve of about a hundred points, the first and the last answer among them.
pub fn timeline(history: &[Told]) -> Vec<Moment> {
    let mut sorted: Vec<&Told> = history.iter().collect();
    sorted.sort_by_key(|told| told.answered);
    let every = sorted.len().div_ceil(100).max(1);
    let (mut bought, mut refused) = (0, 0);
    let mut moments = Vec::new();
    for (n, told) in sorted.iter().enumerate() {
        match told.answer {
            Answer::Bought { .. } => bought += 1,
            Answer::Refused(_) => refused += 1,
            Answer::Queued { .. } | Answer::Unknown => {}
        }
        if n % every == 0 || n + 1 == sorted.len() {
            moments.push(Moment { ms: told.answered.as_secs_f64() * 1e3, bought, refused });
        }
    }
    moments
}

/// When the first buyer beyond the stock was told yes.
pub fn oversold_after(history: &[Told], stock: i64) -> Option<Duration> {
    let bought = |told: &&Told| matches!(told.answer, Answer::Bought { .. });
    let mut yes: Vec<Duration> = history.iter().filter(bought).map(|told| told.answered).collect();
    yes.sort_unstable();
    yes.get(usize::try_from(stock).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ms: u64) -> Told {
        let answer = Answer::Refused("sold-out".into());
        let (wanted, answered) = (Duration::ZERO, Duration::from_millis(ms));
        Told { buyer_id: 1, sale_id: 1, wanted, sent: wanted, answered, answer }
    }

    #[test]
    fn sold_out_serves_a_buyer_only_if_it_is_true() {
        let no = |kind: &str| Told { answer: Answer::Refused(kind.into()), ..told(1) };
        assert_eq!([false, true].map(|sold_out| no("sold-out").is_served(sold_out)), [false, true]);
        let yes = Told { answer: Answer::Bought { order_id: 1 }, ..told(1) };
        assert!(yes.is_served(false) && yes.is_served(true));
        for nothing in [no("overloaded"), Told { answer: Answer::Unknown, ..told(1) }] {
            assert!(!nothing.is_served(true), "{nothing:?}");
        }
        assert!(!Told { answer: Answer::Queued { order_id: 1 }, ..told(1) }.is_served(true));
    }

    #[test]
    fn the_moment_of_overselling_is_the_first_yes_beyond_the_stock() {
        let yes = |ms| Told { answer: Answer::Bought { order_id: 1 }, ..told(ms) };
        let history = [yes(30), told(5), yes(10), yes(20)];
        assert_eq!(oversold_after(&history, 2), Some(Duration::from_millis(30)));
        assert_eq!(oversold_after(&history, 0), Some(Duration::from_millis(10)));
        assert_eq!(oversold_after(&history, 3), None);
    }

    #[test]
    fn the_timeline_ends_with_all_answers() {
        let history: Vec<_> = (0..1234).map(told).collect();
        let timeline = timeline(&history);
        assert!((90..=110).contains(&timeline.len()), "{}", timeline.len());
        let last = timeline.last().unwrap();
        assert_eq!((last.ms, last.bought, last.refused), (1233.0, 0, 1234));
        assert!(timeline.is_sorted_by(|a, b| a.ms <= b.ms && a.refused <= b.refused));
    }
}
