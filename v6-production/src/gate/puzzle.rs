//! The entry puzzle: the buyer adds two numbers before the purchase path is issued. A crowd that clicks in the same second is
//! spread over the seconds in which people add. It is not a security measure: a program adds faster than a person.
//!
//! A puzzle is a ticket, and its sum follows from its signature. The right answer leads to the purchase path with the same id,
//! so one puzzle leads to one path, which buys one unit. A wrong answer is written to the set of used paths in Redis, so a
//! buyer cannot guess again. A right answer costs Redis nothing.

use std::{sync::LazyLock, time::Duration};

use redis::{RedisResult, Script};

use super::{
    signer::Signer,
    ticket::{self, TicketId},
};
use crate::{redis_store::RedisStore, shop::Buyer};

const PURPOSE: &str = "puzzle";

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("puzzle.lua")));

/// The settings of puzzles.
pub(crate) struct Puzzles {
    /// How long a puzzle is valid, and the path behind it.
    pub(crate) good_for: Duration,
    /// How many wrong answers of one sale Redis remembers at the same time. More are refused as `overloaded`.
    pub(crate) wrong_answers: u32,
}

/// A puzzle: two numbers of two digits to add.
pub(super) struct Puzzle {
    pub(super) ticket: String,
    pub(super) a: u32,
    pub(super) b: u32,
}

impl Puzzle {
    /// A new puzzle for this buyer and sale. `now` is in milliseconds since 1970.
    pub(super) fn new(signer: &Signer, now: i64, sale_id: i64, buyer: Buyer) -> Puzzle {
        let id = ticket::number(now);
        let [a, b] = summands(signer, id, sale_id, buyer);
        Puzzle { ticket: ticket::issue(signer, PURPOSE, id, sale_id, buyer), a, b }
    }
}

/// Both numbers are from 11 to 90. They are signed for a purpose of their own, so only this shop knows them.
fn summands(signer: &Signer, id: TicketId, sale_id: i64, buyer: Buyer) -> [u32; 2] {
    let bytes = signer.sign("sum", &[id.0, sale_id, buyer.id]);
    [bytes[0], bytes[1]].map(|byte| 11 + u32::from(byte) % 80)
}

impl Puzzles {
    /// The id and the solution of a puzzle; `None` if it was not made for this buyer and sale, or is too old. `now` is in
    /// milliseconds since 1970.
    pub(super) fn open(
        &self,
        signer: &Signer,
        now: i64,
        puzzle: &str,
        sale_id: i64,
        buyer: Buyer,
    ) -> Option<(TicketId, u32)> {
        let id = ticket::check(signer, PURPOSE, puzzle, sale_id, buyer)?;
        let is_good = now - id.issued_at() < self.good_for.as_millis() as i64;
        is_good.then(|| (id, summands(signer, id, sale_id, buyer).iter().sum()))
    }

    /// Marks the path behind a puzzle as used, because of a wrong answer. Returns false if there is no room for another one.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(super) async fn note_wrong(
        &self,
        redis: &RedisStore,
        id: TicketId,
        sale_id: i64,
        buyer: Buyer,
    ) -> RedisResult<bool> {
        let mut call = SCRIPT.key(redis.keys(sale_id).spent);
        call.arg([buyer.id, id.0].map(i64::to_be_bytes).concat()).arg(self.good_for.as_millis() as u64);
        call.arg(self.wrong_answers).invoke_async(&mut redis.of(sale_id)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_puzzle_asks_what_its_ticket_says() {
        let signer = Signer::new("a secret of at least 32 bytes, really", &[]).unwrap();
        let puzzles = Puzzles { good_for: Duration::from_secs(60), wrong_answers: 1 };
        let (now, ada) = (1_800_000_000_000, Buyer { id: 7 });
        let Puzzle { ticket, a, b } = Puzzle::new(&signer, now, 42, ada);
        let id = ticket::check(&signer, PURPOSE, &ticket, 42, ada).unwrap();
        assert_eq!(summands(&signer, id, 42, ada), [a, b]);
        assert!((11..=90).contains(&a) && (11..=90).contains(&b));
        assert_eq!(puzzles.open(&signer, now + 59_999, &ticket, 42, ada), Some((id, a + b)));
        assert_eq!(puzzles.open(&signer, now + 60_000, &ticket, 42, ada), None, "too old");
        assert_eq!(ticket::check(&signer, "path", &ticket, 42, ada), None, "a puzzle is not a path");
        let sums: std::collections::BTreeSet<_> = (0..100).map(|n| summands(&signer, TicketId(n), 42, ada)).collect();
        assert!(sums.len() > 90, "{}", sums.len());
    }
}
