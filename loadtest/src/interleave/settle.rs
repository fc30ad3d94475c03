//! Decides when all buyers have stopped: each one has a held statement, waits for a lock of another one, or has its answer.
//!
//! There are no precautionary sleeps. The database reports when a statement is done (`ReadyForQuery`) and when it waits for a
//! lock (`pg_blocking_pids`). A buyer has finished when it has its answer and its wire is idle.

use std::time::Duration;

use anyhow::ensure;
use tokio::time::{Instant, timeout};

use super::{scheduler::Scheduler, step::letter, wire::Wire};
use crate::verdict::history::Answer;

/// How long a statement may run before the database is asked whether it waits for a lock, and the pause between two such
/// questions.
const A_MOMENT: Duration = Duration::from_millis(1);
/// How long nothing may happen. It is longer than PostgreSQL's `deadlock_timeout` of one second.
const TOO_LONG: Duration = Duration::from_secs(90);

/// Where a buyer has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Its next statement is held and can be released.
    Held(&'static str),
    /// Its statement waits for locks of these buyers.
    Waits(&'static str, Vec<usize>),
    /// It has its answer.
    Finished(Answer),
}

/// Where all buyers have stopped, and the deadlock cycle that the database has resolved meanwhile, if there was one.
pub(crate) struct Still {
    pub(crate) places: Vec<Place>,
    pub(crate) circle: Vec<(usize, Vec<usize>)>,
}

/// Where a buyer is at this moment.
enum Now {
    Still(Place),
    /// Its statement is running in the database.
    Asks(i32, &'static str),
    /// Its instance is working.
    Thinks,
}

impl Scheduler {
    /// Waits until all buyers have stopped.
    ///
    /// # Errors
    /// A connection is lost, or nothing happens for too long.
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
            ensure!(!waited_long, "{}: no buyer makes progress: {}", self.subject.title(), self.describe());
            // Most statements finish so fast that asking is not worth it.
            if timeout(A_MOMENT, changes.changed()).await.is_ok() || moving {
                continue;
            }
            let Some(waits) = self.waits(&now).await? else { continue };
            if changes.has_changed()? {
                continue; // the answer is out of date
            }
            if has_circle(&waits) {
                circle = waits;
                continue; // until the database aborts one of them
            }
            let place = |(n, now): (usize, Now)| match now {
                Now::Still(place) => Some(place),
                Now::Asks(_, word) => {
                    waits.iter().find(|wait| wait.0 == n).map(|wait| Place::Waits(word, wait.1.clone()))
                }
                Now::Thinks => None,
            };
            let places: Vec<_> = now.into_iter().enumerate().filter_map(place).collect();
            // If no statement is held, another session holds the lock and will release it.
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

    /// The buyers that each buyer waits for. `None` if a running statement does not wait, or waits for another session.
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

/// Whether any buyer waits for itself through others (a deadlock cycle).
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
    fn a_deadlock_cycle_can_have_any_length() {
        assert!(!has_circle(&[]));
        assert!(!has_circle(&[(1, vec![0]), (2, vec![1, 0])]), "a queue is not a cycle");
        assert!(has_circle(&[(0, vec![1]), (1, vec![0])]));
        assert!(has_circle(&[(0, vec![1]), (1, vec![2]), (2, vec![0])]));
        assert!(has_circle(&[(2, vec![0]), (0, vec![1]), (1, vec![0])]), "also with a buyer who waits for the cycle");
    }
}
