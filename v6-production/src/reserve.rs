//! The path of an order, 1 of 5: **reserve** → relay → worker → notify → release.
//! In: a buyer's `POST`. Out: a reserved unit and an entry in the outbox, both or neither. The answer is `queued`.
//! When it breaks: if Redis does not answer, the same request id is sent again, which finds what was done.

/// An attempt to reserve a unit, and its outcome.
pub(crate) mod attempt;
/// Sends attempts to Redis, many in one call.
pub(crate) mod batches;
/// The log line of the reservations of one call.
mod reserved;

use std::{sync::LazyLock, time::Instant};

use axum::{
    Json,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use metrics::Histogram;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use self::{
    attempt::{Attempt, Outcome},
    reserved::RequestId,
};
use crate::{
    app::App,
    error::Error,
    gate::path,
    idempotency, links,
    order_id::OrderId,
    orders::record,
    shop::{self, Buyer, Path},
};

static SECONDS: LazyLock<Histogram> = LazyLock::new(|| metrics::histogram!("reserve_seconds"));

/// The sale and the hidden path in a purchase URL.
#[derive(Deserialize)]
pub(crate) struct HiddenPath {
    sale_id: i64,
    path: String,
}

/// `POST /sales/{sale_id}/purchase/{path}`: reserves one unit for this buyer.
///
/// # Errors
/// 409 `sold-out` and `limit-reached`, 404 `wrong-path`, 403 `not-open` and `blocked`, 410 `closed`, 429 `rate-limited`,
/// 503 `overloaded` and `timed-out`.
pub(crate) async fn handler(
    app: State<App>,
    Path(HiddenPath { sale_id, path }): Path<HiddenPath>,
    buyer: Buyer,
    whole: Request,
) -> Result<Response, Error> {
    let headers = whole.into_parts().0.headers; // as an argument, they would be a copy
    let path = path::check(&app.signer, &path, sale_id, buyer).ok_or(Error::WrongPath)?;
    app.catalogue.find(sale_id).await?;
    let key = idempotency::key(&headers)?;
    let request = key.map_or_else(|| fastrand::i64(..), |key| hash(buyer, key));
    let began = Instant::now();
    let attempt = Attempt { sale_id, buyer, request, path, again: key.is_some() };
    let outcome = app.batches.ask(attempt, RequestId::of(&headers)).await;
    SECONDS.record(began.elapsed());
    metrics::counter!("attempts_total", "outcome" => outcome.word()).increment(1);
    match outcome {
        Outcome::Held(order_id) => Ok(queued(order_id)),
        Outcome::SoldOut => Err(Error::SoldOut { units_may_return: app.catalogue.units_may_return(sale_id) }),
        Outcome::LimitReached => {
            Err(Error::LimitReached(record::held(&app.redis, sale_id, buyer).await.unwrap_or(None)))
        }
        Outcome::WrongPath => Err(Error::WrongPath),
        Outcome::TooOften(wait) => Err(Error::TooOften(wait)),
        Outcome::Denied => Err(Error::Denied),
        Outcome::NotOpen => Err(Error::NotOpen),
        Outcome::Closed => Err(Error::Closed("the sale is over")),
        Outcome::Warming => Err(Error::Unavailable("the sale is being made ready")),
        Outcome::Overloaded | Outcome::Crowded => Err(shop::Error::Overloaded.into()),
        Outcome::Unanswered => Err(Error::Unanswered),
        Outcome::Refused => Err(Error::Unavailable("Redis takes no reservations")),
    }
}

/// The body of the answer 202: the reservation will become an order. Its status is sent at `watch`.
#[derive(Serialize)]
struct Queued {
    status: &'static str,
    order_id: OrderId,
    watch: String,
}

fn queued(order_id: OrderId) -> Response {
    let [location, watch] = [links::ORDER, links::WATCH].map(|pattern| links::order(pattern, order_id));
    let body = Queued { status: "queued", order_id, watch };
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(body)).into_response()
}

/// The request id of an idempotency key.
fn hash(buyer: Buyer, key: &str) -> i64 {
    let hash = Sha256::new().chain_update(buyer.id.to_be_bytes()).chain_update(key).finalize();
    i64::from_be_bytes(std::array::from_fn(|n| hash[n]))
}
