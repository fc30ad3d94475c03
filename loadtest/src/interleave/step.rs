//! The steps of an interleaving: the lines of its picture.

use serde::{Deserialize, Serialize};

use super::wire::{DEADLOCK, Done};

/// One step of an interleaving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The buyer: `A`, `B`, …
    pub buyer: String,
    /// The statement's name in a schedule: `select`, `update`, `insert` or `commit`.
    pub statement: String,
    /// The statement as it is displayed, for example `select for update`.
    pub shown: String,
    /// What happened to the statement.
    pub event: Event,
    /// The buyers whose locks it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// The value of `sold` that it read, if it selected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<i64>,
    /// The value of `version` that it read, if it selected it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_version: Option<i64>,
    /// The value or expression that it writes to `sold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<String>,
    /// The number of rows that it changed or returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The SQLSTATE code of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The anomaly that this step shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// The buyer's answer, if this was the last statement of its purchase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// The committed row after this step, when all buyers had stopped again.
    pub row: Row,
}

/// What happens to a statement that was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It finished.
    Done,
    /// It waits for another buyer's lock.
    Waits,
    /// It finished after a lock wait.
    GoesOn,
}

/// An anomaly at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// A read of a value that has changed before the buyer acts on it.
    StaleRead,
    /// A write over another buyer's change that the writer has not seen.
    LostUpdate,
    /// A refusal because what the buyer had read has changed: an update that matched no row, or SQLSTATE 40001.
    Conflict,
    /// An abort by the database: it waited for a buyer who waited for it.
    Deadlock,
}

/// The sale as committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The sale's `sold` counter.
    pub sold: i64,
    /// The row's version, if it has that column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// The number of orders.
    pub orders: i64,
}

impl Step {
    /// A step for a statement that finished.
    pub(crate) fn done(buyer: usize, done: &Done, waited: bool, row: Row) -> Step {
        let (statement, came) = (&done.statement, &done.came);
        let read = statement.read(&came.columns);
        let of = |name: &str| read.iter().find(|column| column.0 == name).map(|column| column.1);
        Step {
            buyer: letter(buyer),
            statement: statement.word.into(),
            shown: statement.shown(),
            event: if waited { Event::GoesOn } else { Event::Done },
            waits_for: Vec::new(),
            read: of("sold"),
            read_version: of("version"),
            writes: statement.writes(),
            rows: came.rows,
            error: came.error.clone(),
            mark: None,
            told: None,
            row,
        }
    }

    /// A step for a statement that waits.
    pub(crate) fn waits(buyer: usize, shown: String, word: &str, by: &[usize], row: Row) -> Step {
        Step {
            buyer: letter(buyer),
            statement: word.into(),
            shown,
            event: Event::Waits,
            waits_for: by.iter().copied().map(letter).collect(),
            read: None,
            read_version: None,
            writes: None,
            rows: None,
            error: None,
            mark: None,
            told: None,
            row,
        }
    }
}

/// Marks stale reads, lost updates, conflicts and deadlocks. `before` is the row at the start.
pub(crate) fn mark(steps: &mut [Step], before: Row) {
    for n in 0..steps.len() {
        let step = &steps[n];
        // The buyer's last read before this step. A lock since then would have read again.
        let looks = |other: &Step| other.buyer == step.buyer && other.read.is_some();
        let look = steps[..n].iter().rposition(looks);
        let met = match n {
            0 => before,
            n => steps[n - 1].row,
        };
        let marked = match (step.error.as_deref(), step.statement.as_str(), step.rows) {
            (Some(DEADLOCK), ..) => Some(Mark::Deadlock),
            (Some("40001"), ..) => Some(Mark::Conflict),
            (None, "update", Some(0)) if look.is_some() => Some(Mark::Conflict),
            (None, "update", Some(1..)) if look.is_some_and(|look| steps[look].read != Some(met.sold)) => {
                Some(Mark::LostUpdate)
            }
            _ => None,
        };
        if let (Some(Mark::LostUpdate | Mark::Conflict), Some(look)) = (marked, look) {
            steps[look].mark = Some(Mark::StaleRead);
        }
        if marked.is_some() {
            steps[n].mark = marked;
        }
    }
}

/// A buyer's letter; 0 is A.
pub fn letter(buyer: usize) -> String {
    char::from(b'A' + buyer.min(25) as u8).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps from lines like `A select 0|0` or `B update 1|1`; the committed `sold` is after the bar.
    fn steps(text: &str) -> Vec<Step> {
        let step = |line: &str| {
            let (what, sold) = line.split_once('|').unwrap();
            let words: Vec<&str> = what.split_whitespace().collect();
            let read = (words[1] == "select").then(|| words[2].parse().unwrap());
            let rows = (words[1] == "update").then(|| words[2].parse().unwrap());
            let row = Row { sold: sold.trim().parse().unwrap(), ..Row::default() };
            let waits = Step::waits(usize::from(words[0] == "B"), words[1].into(), words[1], &[], row);
            Step { event: Event::Done, read, rows, ..waits }
        };
        text.lines().map(step).collect()
    }

    fn marks(text: &str) -> Vec<Option<Mark>> {
        let mut steps = steps(text);
        mark(&mut steps, Row::default());
        steps.iter().map(|step| step.mark).collect()
    }

    #[test]
    fn a_write_over_another_is_a_lost_update_of_a_stale_read() {
        let found = marks("A select 0|0\nB select 0|0\nA update 1|1\nB update 1|1");
        assert_eq!(found, [None, Some(Mark::StaleRead), None, Some(Mark::LostUpdate)]);
    }

    #[test]
    fn one_after_the_other_is_nothing_to_notice() {
        assert_eq!(marks("A select 0|0\nA update 1|1\nB select 1|1\nB update 1|2"), [None; 4]);
    }

    #[test]
    fn an_update_of_no_row_is_a_conflict_if_it_followed_a_look() {
        let found = marks("B select 0|0\nA update 1|1\nB update 0|1");
        assert_eq!(found, [Some(Mark::StaleRead), None, Some(Mark::Conflict)]);
        assert_eq!(marks("A update 1|1\nB update 0|1"), [None, None], "the condition was in the update");
    }
}
