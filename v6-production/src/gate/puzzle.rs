//! The entry puzzle: a sum between the click and the address to buy at. It spreads a crowd that clicks in the same second over
//! the seconds in which people add. It is no security, and says so: a program adds faster than anybody.
//!
//! A puzzle is a ticket, and the sum follows from its signature. The right answer leads to the address to buy at that has the
//! same number: however often it is given, it is the same address, good for one unit. A wrong answer is noted where Redis keeps
//! the numbers of addresses that are spent. So nobody gets an address by guessing, one puzzle is good for one purchase, and
//! who can add costs Redis nothing.

use std::{sync::LazyLock, time::Duration};

use redis::Script;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    path,
    signer::Signer,
    ticket::{self, TicketId},
};
use crate::{
    App,
    error::Error,
    shop::{self, Buyer},
};

const PURPOSE: &str = "puzzle";
const WHY: &str = "It spreads the crowd over some seconds. It is no security: a program adds, too.";

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("puzzle.lua")));

/// How puzzles are answered, where there are any.
pub(crate) struct Puzzles {
    /// How long one is good, and the address behind it.
    pub(crate) good_for: Duration,
    /// Wrong answers in one sale that are remembered at the same time.
    pub(crate) wrong_answers: u32,
}

/// What the answer says.
#[derive(Deserialize)]
struct Answer {
    answer: String,
}

/// A puzzle for this buyer, as a step on the way.
pub(crate) fn ask(signer: &Signer, now: i64, sale_id: i64, buyer: Buyer) -> Value {
    let id = ticket::number(now);
    let puzzle = ticket::issue(signer, PURPOSE, id, sale_id, buyer);
    let (a, b) = summands(signer, id, sale_id, buyer);
    let ask = json!([{ "name": "answer", "prompt": format!("What is {a} + {b}?") }]);
    let href = format!("{}?puzzle={puzzle}", path::href(sale_id));
    json!({ "method": "POST", "href": href, "ask": ask, "why": WHY })
}

/// Two numbers of two digits. Only we know which: they are signed under a purpose of their own.
fn summands(signer: &Signer, id: TicketId, sale_id: i64, buyer: Buyer) -> (u32, u32) {
    let bytes = signer.sign("sum", &[id.0, sale_id, buyer.id]);
    let two_digits = |byte: u8| 11 + u32::from(byte) % 80;
    (two_digits(bytes[0]), two_digits(bytes[1]))
}

impl Puzzles {
    /// The number of the address behind a puzzle, for the right answer.
    ///
    /// # Errors
    /// 400: there is no answer; 403 `wrong-answer`: wrong, or the puzzle is another's, or too old; 503: Redis is away.
    pub(crate) async fn solve(
        &self,
        app: &App,
        puzzle: &str,
        sale_id: i64,
        buyer: Buyer,
        body: &[u8],
    ) -> Result<TicketId, Error> {
        let answer = serde_json::from_slice::<Answer>(body);
        let answer = answer.map_err(|_| Error::invalid("an answer is a JSON object with an answer"))?.answer;
        let id = ticket::check(&app.signer, PURPOSE, puzzle, sale_id, buyer).ok_or(Error::WrongAnswer)?;
        if app.clock.now_ms() - id.issued_at() >= self.good_for.as_millis() as i64 {
            return Err(Error::WrongAnswer);
        }
        let (a, b) = summands(&app.signer, id, sale_id, buyer);
        if answer.trim() == (a + b).to_string() {
            return Ok(id);
        }
        let mut call = SCRIPT.key(app.redis.keys(sale_id).spent);
        call.arg([buyer.id, id.0].map(i64::to_be_bytes).concat()).arg(self.good_for.as_millis() as u64);
        call.arg(self.wrong_answers);
        let noted: bool = call.invoke_async(&mut app.redis.shared.clone()).await.map_err(|error| {
            tracing::debug!("puzzle: {error}");
            Error::Unavailable("Redis is away")
        })?;
        Err(if noted { Error::WrongAnswer } else { shop::Error::Overloaded.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_puzzle_asks_what_its_ticket_says() {
        let signer = Signer::new("a secret of at least 32 bytes, really", &[]).unwrap();
        let (now, ada) = (1_800_000_000_000, Buyer { id: 7 });
        let step = ask(&signer, now, 42, ada);
        let puzzle = step["href"].as_str().unwrap().strip_prefix("/sales/42/path?puzzle=").unwrap();
        let id = ticket::check(&signer, PURPOSE, puzzle, 42, ada).unwrap();
        let (a, b) = summands(&signer, id, 42, ada);
        assert_eq!(step["ask"][0]["prompt"], format!("What is {a} + {b}?"));
        assert!((11..=90).contains(&a) && (11..=90).contains(&b));
        assert_eq!(path::check(&signer, puzzle, 42, ada), None, "a puzzle is no address");
        let sums: std::collections::BTreeSet<_> = (0..100).map(|n| summands(&signer, TicketId(n), 42, ada)).collect();
        assert!(sums.len() > 90, "{}", sums.len());
    }
}
