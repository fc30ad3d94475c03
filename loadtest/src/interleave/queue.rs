//! Who is first, where nothing but time decides: such a play is given up and played again.
//!
//! Buyers who wait for one row get it in the order in which they asked. PostgreSQL queues them, but when the row's owner has changed
//! the row and commits, the first one leaves the queue to look at the new version of the row. In that moment the second one can
//! overtake it.
//!
//! Of a deadlock of two, PostgreSQL ends the statement that waited first, because its `deadlock_timeout` is over first. If the cycle
//! is closed more than this second later, or on a busy machine, it ends the statement that closed the cycle.
//!
//! No outcome is lost. The play went on as if the two had asked in the other order, and that order is an interleaving of its own.
//!
//! On a busy machine a deadlock of two can also be over before anybody sees that both have waited. That play is only repeated.

use std::{error::Error, fmt};

use anyhow::ensure;

use super::settle::Place;

/// The most plays of one interleaving. About one in fifty is overtaken.
const MOST: usize = 100;

/// Why a play was given up.
#[derive(Debug)]
pub enum OutOfTurn {
    /// A buyer got a row before one who had asked for it earlier.
    Overtaken,
    /// A deadlock of two buyers ended the statement that closed the cycle, and not the one that had waited before.
    LastOfDeadlock,
    /// A deadlock of two buyers was over before it was seen who waited for whom.
    Unseen,
}

impl Error for OutOfTurn {}

impl fmt::Display for OutOfTurn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            OutOfTurn::Unseen => "a deadlock was over before it was seen",
            OutOfTurn::Overtaken => "the database gave a row to a buyer before one who had asked for it earlier",
            OutOfTurn::LastOfDeadlock => "of a deadlock, the database ended the statement that waited last",
        })
    }
}

/// Whether a buyer has got what another one waits for who was before it in the queue.
pub(super) fn is_overtaken(before: &[Place], now: &[Place]) -> bool {
    let waits_for = |places: &[Place], one: usize, other: usize| match places.get(one) {
        Some(Place::Waits(_, by)) => by.contains(&other),
        Some(Place::Held(_) | Place::Finished(_)) | None => false,
    };
    let was_behind =
        |one: usize, other: usize| waits_for(before, one, other) && matches!(before.get(other), Some(Place::Waits(..)));
    (0..now.len()).any(|one| (0..now.len()).any(|other| was_behind(one, other) && waits_for(now, other, one)))
}

/// Whether only one buyer waited before, so that a deadlock now is one of two. In a larger one, several statements are ended.
pub(super) fn is_pair(before: &[Place]) -> bool {
    before.iter().filter(|place| matches!(place, Place::Waits(..))).count() == 1
}

/// Plays again as long as something is [`OutOfTurn`].
///
/// # Errors
/// As for `play`; or that happened too often.
pub(crate) async fn in_turn<T>(mut play: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut plays = 0;
    loop {
        plays += 1;
        match play().await {
            Err(why) if why.is::<OutOfTurn>() => ensure!(plays < MOST, "{why}, {MOST} times in a row"),
            played => return played,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(by: &[usize]) -> Place {
        Place::Waits("update", by.to_vec())
    }

    #[test]
    fn the_first_in_the_queue_gets_the_row_first() {
        let held = || Place::Held("insert");
        let queue = [held(), waits(&[0]), waits(&[0, 1])]; // A has the row, B has asked for it, and then C
        assert!(!is_overtaken(&queue, &[held(), held(), waits(&[1])]));
        assert!(is_overtaken(&queue, &[held(), waits(&[2]), held()]));
        assert!(!is_overtaken(&queue, &queue), "both still wait");
        assert!(!is_overtaken(&[held(), held(), waits(&[1])], &[held(), waits(&[2]), held()]), "B did not wait before");
        assert!(!is_overtaken(&[], &queue), "the first look");
    }

    #[tokio::test]
    async fn a_play_is_repeated_until_all_is_in_turn() {
        let mut plays = 0;
        let third = in_turn(async || {
            plays += 1;
            match plays {
                1 => Err(OutOfTurn::Overtaken.into()),
                2 => Err(OutOfTurn::LastOfDeadlock.into()),
                _ => Ok(plays),
            }
        });
        assert_eq!(third.await.unwrap(), 3);
        let never = in_turn(async || anyhow::Result::<()>::Err(OutOfTurn::Overtaken.into())).await.unwrap_err();
        assert!(never.to_string().ends_with("earlier, 100 times in a row"), "{never}");
        let mut plays = 0;
        let fails = in_turn(async || {
            plays += 1;
            anyhow::Result::<()>::Err(anyhow::anyhow!("no database"))
        });
        assert_eq!(fails.await.unwrap_err().to_string(), "no database");
        assert_eq!(plays, 1);
    }
}
