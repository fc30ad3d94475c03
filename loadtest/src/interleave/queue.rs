//! Buyers who wait for one row get it in the order in which they asked.
//!
//! PostgreSQL queues them, but when the row's owner has changed the row and commits, the first one leaves the queue to look at the
//! new version of the row. In that moment the second one can overtake it. Nothing decides about this but time, so such a
//! play is given up and played again.
//!
//! No outcome is lost. The overtaken buyer now waits for the other one, as if the two had asked in the other order, and that
//! order is an interleaving of its own.

use std::{error::Error, fmt};

use anyhow::bail;

use super::settle::Place;

/// The most plays of one interleaving. About one in fifty is given up.
const MOST: usize = 100;

/// A buyer got a row before one who had asked for it earlier.
#[derive(Debug)]
pub struct Overtaken;

impl Error for Overtaken {}

impl fmt::Display for Overtaken {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the database gave a row to a buyer before one who had asked for it earlier")
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

/// Plays again as long as a buyer is overtaken.
///
/// # Errors
/// As for `play`; or buyers were overtaken too often.
pub(crate) async fn in_turn<T>(mut play: impl AsyncFnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    for _ in 0..MOST {
        match play().await {
            Err(why) if why.is::<Overtaken>() => {}
            played => return played,
        }
    }
    bail!("{Overtaken}, {MOST} times in a row")
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
    async fn a_play_is_repeated_until_nobody_is_overtaken() {
        let mut plays = 0;
        let third = in_turn(async || {
            plays += 1;
            if plays < 3 { Err(Overtaken.into()) } else { Ok(plays) }
        });
        assert_eq!(third.await.unwrap(), 3);
        let never = in_turn(async || anyhow::Result::<()>::Err(Overtaken.into())).await.unwrap_err().to_string();
        assert!(never.ends_with("earlier, 100 times in a row"), "{never}");
        let mut plays = 0;
        let fails = in_turn(async || {
            plays += 1;
            anyhow::Result::<()>::Err(anyhow::anyhow!("no database"))
        });
        assert_eq!(fails.await.unwrap_err().to_string(), "no database");
        assert_eq!(plays, 1);
    }
}
