//! When do all stand still? When every buyer has a statement held, waits for the lock of one who has, or is finished.
//!
//! Nothing here sleeps to be on the safe side. That a statement is done, the database says (ReadyForQuery); that it waits
//! for a lock, too (`pg_blocking_pids`); that a buyer is finished is its answer and an idle wire.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, timeout};

use super::{scheduler::Scheduler, step::letter, wire::Wire};
use crate::verdict::history::Answer;

/// How long a statement may be away before the database is asked whether it waits for a lock; and how often then.
const A_MOMENT: Duration = Duration::from_millis(1);
/// How long nothing may happen: longer than PostgreSQL takes to end a deadlock (`deadlock_timeout`, a second).
const TOO_LONG: Duration = Duration::from_secs(90);

/// Where a buyer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A statement is held: it may be let go.
    Held(&'static str),
    /// A statement waits for the locks of these.
    Waits(&'static str, Vec<usize>),
    /// The buyer knows.
    Finished(Answer),
}

/// Where all are, and who waited for whom in a circle until the database ended it.
pub(crate) struct Still {
    pub(crate) places: Vec<Place>,
    pub(crate) circle: Vec<(usize, Vec<usize>)>,
}

/// Where a buyer seems to be.
enum Now {
    Still(Place),
    /// With the database.
    Asks(i32, &'static str),
    /// With the shop.
    Thinks,
}

impl Scheduler {
    /// Waits until all stand still.
    ///
    /// # Errors
    /// A connection is lost, or nothing happens for a long time.
    pub(crate) async fn settle(&self) -> anyhow::Result<Still> {
        let mut changes = self.wires.subscribe();
        let (mut circle, begun) = (Vec::new(), Instant::now());
        loop {
            let now = self.look(&changes.borrow_and_update())?;
            let moving = now.iter().any(|now| matches!(now, Now::Thinks));
            if !now.iter().any(|now| !matches!(now, Now::Still(_))) {
                let places = now.into_iter().filter_map(Now::still).collect();
                return Ok(Still { places, circle });
            }
            let waited_long = begun.elapsed() > TOO_LONG;
            ensure!(!waited_long, "{}: nothing happens any more: {}", self.subject.title(), self.describe());
            // Most statements are back before it is worth asking.
            if timeout(A_MOMENT, changes.changed()).await.is_ok() || moving {
                continue;
            }
            let Some(waits) = self.waits(&now).await? else { continue };
            if changes.has_changed()? {
                continue; // what was asked about is past
            }
            if has_circle(&waits) {
                circle = waits;
                continue; // until the database ends it
            }
            let place = |(n, now): (usize, Now)| match now {
                Now::Still(place) => Some(place),
                Now::Asks(_, word) => {
                    waits.iter().find(|wait| wait.0 == n).map(|wait| Place::Waits(word, wait.1.clone()))
                }
                Now::Thinks => None,
            };
            let places: Vec<_> = now.into_iter().enumerate().filter_map(place).collect();
            // If nobody is held, somebody outside has the lock, and will let go of it.
            if places.len() == self.subject.buyers && places.iter().any(|place| matches!(place, Place::Held(_))) {
                return Ok(Still { places, circle });
            }
        }
    }

    fn look(&self, wires: &[Wire]) -> anyhow::Result<Vec<Now>> {
        let look = |(n, wire): (usize, &Wire)| {
            ensure!(!wire.lost, "buyer {} has lost the connection to the database in the middle", letter(n));
            Ok(match (wire, &wire.answer, wire.pid) {
                (Wire { held: Some(statement), .. }, ..) => Now::Still(Place::Held(statement.word)),
                (wire, Some(answer), _) if wire.is_finished() => Now::Still(Place::Finished(answer.clone())),
                (Wire { running: Some(statement), .. }, _, Some(pid)) => Now::Asks(pid, statement.word),
                _ => Now::Thinks,
            })
        };
        wires.iter().enumerate().map(look).collect()
    }

    /// Who waits for whom; nothing if one who asks does not wait, or waits for somebody outside.
    async fn waits(&self, now: &[Now]) -> anyhow::Result<Option<Vec<(usize, Vec<usize>)>>> {
        let pids: Vec<_> = self.wires.borrow().iter().map(|wire| wire.pid).collect();
        let mut waits = Vec::new();
        for (n, now) in now.iter().enumerate() {
            let Now::Asks(pid, _) = now else { continue };
            let blockers = self.blocked_by(*pid).await?;
            let mut by: Vec<_> =
                (0..pids.len()).filter(|n| pids[*n].is_some_and(|pid| blockers.contains(&pid))).collect();
            by.sort_unstable();
            if by.is_empty() {
                return Ok(None);
            }
            waits.push((n, by));
        }
        Ok(Some(waits))
    }

    fn describe(&self) -> String {
        let wires = self.wires.borrow();
        let word = |wire: &Wire| match (&wire.held, &wire.running, &wire.answer) {
            (Some(statement), ..) => format!("is held at {}", statement.word),
            (_, Some(statement), _) => format!("waits at {}", statement.word),
            (_, _, Some(answer)) => format!("was told {}", answer.kind()),
            _ => "is with the shop".into(),
        };
        let all: Vec<_> = wires.iter().enumerate().map(|(n, wire)| format!("{} {}", letter(n), word(wire))).collect();
        all.join(", ")
    }
}

impl Now {
    fn still(self) -> Option<Place> {
        match self {
            Now::Still(place) => Some(place),
            Now::Asks(..) | Now::Thinks => None,
        }
    }
}

/// Whether somebody waits for oneself, by way of others.
fn has_circle(waits: &[(usize, Vec<usize>)]) -> bool {
    let of = |n: usize| waits.iter().find(|wait| wait.0 == n).map_or(&[][..], |wait| &wait.1);
    waits.iter().any(|(start, first)| {
        let (mut next, mut seen) = (first.clone(), Vec::new());
        while let Some(n) = next.pop() {
            if n == *start {
                return true;
            }
            if !seen.contains(&n) {
                seen.push(n);
                next.extend(of(n));
            }
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::has_circle;

    #[test]
    fn a_circle_is_one_of_any_length() {
        assert!(!has_circle(&[]));
        assert!(!has_circle(&[(1, vec![0]), (2, vec![1, 0])]), "a queue is none");
        assert!(has_circle(&[(0, vec![1]), (1, vec![0])]));
        assert!(has_circle(&[(0, vec![1]), (1, vec![2]), (2, vec![0])]));
        assert!(has_circle(&[(2, vec![0]), (0, vec![1]), (1, vec![0])]), "also if one only stands behind it");
    }
}
