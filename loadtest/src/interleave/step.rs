//! What happened, step by step: the lines of the picture.

use serde::{Deserialize, Serialize};

use super::wire::Done;

/// One line of an order of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// `A`, `B`, …
    pub buyer: String,
    /// As a schedule calls it: `select`, `update`, `insert`, `commit`.
    pub statement: String,
    /// As it is shown: `select for update`.
    pub shown: String,
    /// What became of it.
    pub event: Event,
    /// For whose lock it waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// What the row said of `sold`, where the statement asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<i64>,
    /// And of the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_version: Option<i64>,
    /// What the statement makes of `sold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<String>,
    /// Rows touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// The code of the error that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is to be noticed about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// What the buyer was told after it, if that was the last of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// The row when all stood still again, as everybody else sees it.
    pub row: Row,
}

/// What becomes of a statement that was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It came back.
    Done,
    /// It waits for another's lock.
    Waits,
    /// It had waited, and came back.
    GoesOn,
}

/// What is to be noticed about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// A look at what has changed by the time it is acted upon.
    StaleRead,
    /// A write over another's that the writer has not seen.
    LostUpdate,
    /// A refusal because what the buyer had read is not true any more: an update that changed no row, or 40001.
    Conflict,
    /// The database has ended it: it waited for one who waited for it.
    Deadlock,
}

/// The sale, as it is committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What its counter says.
    pub sold: i64,
    /// Its version, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Its orders.
    pub orders: i64,
}

impl Step {
    /// A statement that came back.
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

    /// A statement that waits.
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

/// Marks stale reads, lost updates, conflicts and deadlocks; `before` is the row that all began with.
pub(crate) fn mark(steps: &mut [Step], before: Row) {
    for n in 0..steps.len() {
        let step = &steps[n];
        // The last look that this buyer acts upon; a lock taken since would have looked again.
        let looks = |other: &Step| other.buyer == step.buyer && other.read.is_some();
        let look = steps[..n].iter().rposition(looks);
        let met = match n {
            0 => before,
            n => steps[n - 1].row,
        };
        let marked = match (step.error.as_deref(), step.statement.as_str(), step.rows) {
            (Some("40P01"), ..) => Some(Mark::Deadlock),
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

/// A buyer's letter in a schedule.
pub fn letter(buyer: usize) -> String {
    char::from(b'A' + buyer.min(25) as u8).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A select 0`, `B update =1`, … as steps; the row's `sold` behind a bar.
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
