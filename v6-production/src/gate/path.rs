//! The address to buy at: a ticket for one buyer and one sale, good for a while and for one unit. What is remembered of it, in
//! Redis, is the one that a unit was bought with.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    puzzle,
    signer::Signer,
    ticket::{self, TicketId},
};
use crate::{
    App,
    catalogue::SalePath,
    error::Error,
    reserve::BUY,
    shop::{Buyer, Path},
};

/// Where one is asked for.
pub(crate) const ASK: &str = "/sales/{sale_id}/path";
const PURPOSE: &str = "path";

/// Where that is.
pub(crate) fn href(sale_id: i64) -> String {
    ASK.replace("{sale_id}", &sale_id.to_string())
}

/// The step after a login: the way to an address, or at once the puzzle that would be asked there.
pub(crate) fn step(app: &App, sale_id: i64, buyer: Buyer) -> Value {
    let now = app.clock.now_ms();
    let is_open = app.catalogue.all().get(&sale_id).is_some_and(|sale| (sale.opens_at..sale.closes_at).contains(&now));
    match app.puzzles.is_some() && is_open && !app.sold_out.is(sale_id) {
        true => puzzle::ask(&app.signer, now, sale_id, buyer),
        false => json!({ "method": "POST", "href": href(sale_id) }),
    }
}

/// Which path that is, if one of us has made it for this buyer and sale. Whether it is still good, only Redis can say.
pub(crate) fn check(signer: &Signer, path: &str, sale_id: i64, buyer: Buyer) -> Option<TicketId> {
    ticket::check(signer, PURPOSE, path, sale_id, buyer)
}

/// What comes with the question.
#[derive(Deserialize)]
pub(crate) struct With {
    /// The puzzle that the body has the answer to.
    puzzle: Option<String>,
}

/// `POST /sales/{sale_id}/path`: the address to buy at, for the buyer who asks, while the sale is open; or, where there is one,
/// the puzzle in front of it, whose answer goes to the same place.
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
    let now = app.clock.now_ms();
    if now < sale.opens_at {
        return Err(Error::NotOpen);
    }
    if now >= sale.closes_at {
        return Err(Error::Closed("the sale is over"));
    }
    // The filter lapses when nobody tries to buy; what SQL has counted does not.
    if app.sold_out.is(sale_id) || sale.sold >= sale.stock {
        metrics::counter!("filtered_total").increment(1);
        return Err(app.catalogue.sold_out(sale_id));
    }
    let Query(with) = with.map_err(|_| Error::invalid("a puzzle has 48 hex digits"))?;
    let id = match (&app.puzzles, with.puzzle) {
        (None, _) => ticket::number(now),
        (Some(_), None) => return Ok(Json(json!({ "buy": puzzle::ask(&app.signer, now, sale_id, buyer) }))),
        (Some(puzzles), Some(puzzle)) => puzzles.solve(&app, &puzzle, sale_id, buyer, &body).await?,
    };
    let path = ticket::issue(&app.signer, PURPOSE, id, sale_id, buyer);
    let href = BUY.replace("{sale_id}", &sale_id.to_string()).replace("{path}", &path);
    Ok(Json(json!({ "buy": { "method": "POST", "href": href } })))
}
