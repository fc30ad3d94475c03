//! The hidden path of a purchase: a ticket for one buyer and one sale. It expires after `PATH_TTL`, and buys one unit. Redis
//! remembers only the paths that units were bought with.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    puzzle::{Puzzle, Puzzles},
    signer::Signer,
    ticket::{self, TicketId},
};
use crate::{
    app::App,
    error::Error,
    links::{self, SalePath},
    shop::{self, Buyer, Path},
};

const PURPOSE: &str = "path";
const WHY: &str = "It spreads the crowd over some seconds. It is no security: a program adds, too.";

/// The step after a login: the puzzle if the sale is open and has units, else the link that asks for the path.
pub(super) fn step(app: &App, sale_id: i64, buyer: Buyer) -> Value {
    let now = app.now_ms(sale_id);
    let is_open = app.catalogue.all().get(&sale_id).is_some_and(|sale| (sale.opens_at..sale.closes_at).contains(&now));
    match app.puzzles.is_some() && is_open && !app.sold_out.is(sale_id) {
        true => ask_puzzle(app, now, sale_id, buyer),
        false => links::post(&links::path(sale_id)),
    }
}

/// A new puzzle for this buyer, as a step on the way to a unit.
fn ask_puzzle(app: &App, now: i64, sale_id: i64, buyer: Buyer) -> Value {
    let Puzzle { ticket, a, b } = Puzzle::new(&app.signer, now, sale_id, buyer);
    let mut step = links::ask(&links::puzzle(sale_id, &ticket), "answer", &format!("What is {a} + {b}?"));
    step["why"] = WHY.into();
    step
}

/// The id of a path; `None` if it was not made for this buyer and sale. It may be expired or used: only Redis knows.
pub(crate) fn check(signer: &Signer, path: &str, sale_id: i64, buyer: Buyer) -> Option<TicketId> {
    ticket::check(signer, PURPOSE, path, sale_id, buyer)
}

/// The query of a request for a path.
#[derive(Deserialize)]
pub(crate) struct With {
    /// The puzzle that the body answers.
    puzzle: Option<String>,
}

/// The body of an answer to a puzzle.
#[derive(Deserialize)]
struct Answer {
    answer: String,
}

/// `POST /sales/{sale_id}/path`: returns the purchase link of this buyer while the sale is open. If puzzles are on, a request
/// without an answer gets a puzzle, whose answer goes to the same route.
///
/// # Errors
/// 400 `invalid-request`: a puzzle without an answer; 401 `unauthenticated`, 403 `not-open` and `wrong-answer`, 404 `not-found`,
/// 409 `sold-out`, 410 `closed`, 503 `overloaded`.
pub(crate) async fn handler(
    app: State<App>,
    Path(SalePath { sale_id }): Path<SalePath>,
    with: Result<Query<With>, QueryRejection>,
    buyer: Buyer,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let sale = app.catalogue.find(sale_id).await?;
    let now = app.now_ms(sale_id);
    if now < sale.opens_at {
        return Err(Error::NotOpen);
    }
    if now >= sale.closes_at {
        return Err(Error::Closed("the sale is over"));
    }
    // The sold-out flag expires when no purchase renews it. The counter in SQL does not.
    if app.sold_out.is(sale_id) || sale.sold >= sale.stock {
        metrics::counter!("filtered_total").increment(1);
        return Err(Error::SoldOut { units_may_return: app.catalogue.units_may_return(sale_id) });
    }
    let Query(with) = with.map_err(|_| Error::invalid("a puzzle has 48 hex digits"))?;
    let id = match (&app.puzzles, with.puzzle) {
        (None, _) => ticket::number(now),
        (Some(_), None) => return Ok(Json(json!({ "buy": ask_puzzle(&app, now, sale_id, buyer) }))),
        (Some(puzzles), Some(puzzle)) => solve(&app, puzzles, &puzzle, sale_id, buyer, &body).await?,
    };
    let path = ticket::issue(&app.signer, PURPOSE, id, sale_id, buyer);
    Ok(Json(json!({ "buy": links::post(&links::purchase(sale_id, &path)) })))
}

/// The id of the path behind a puzzle, if the answer is right.
async fn solve(
    app: &App,
    puzzles: &Puzzles,
    puzzle: &str,
    sale_id: i64,
    buyer: Buyer,
    body: &[u8],
) -> Result<TicketId, Error> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| Error::invalid("an answer is a JSON object with an answer"))?;
    let opened = puzzles.open(&app.signer, app.now_ms(sale_id), puzzle, sale_id, buyer);
    let (id, solution) = opened.ok_or(Error::WrongAnswer)?;
    if answer.answer.trim() == solution.to_string() {
        return Ok(id);
    }
    match puzzles.note_wrong(&app.redis, id, sale_id, buyer).await {
        Ok(true) => Err(Error::WrongAnswer),
        Ok(false) => Err(shop::Error::Overloaded.into()),
        Err(error) => {
            tracing::debug!("puzzle: {error}");
            Err(Error::Unavailable("Redis is away"))
        }
    }
}
