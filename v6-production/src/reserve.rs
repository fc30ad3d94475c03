//! The path of an order, 1 of 5: **reserve** → relay → worker → notify → release.
//! In: a buyer's `POST`. Out: a unit held and an entry in the outbox, both or neither; the buyer hears `queued`.
//! When it breaks: no answer from Redis is asked for again under the same request id, which finds what was done.

/// Attempts on their way to Redis, many per call.
mod batches;

use std::time::{Duration, Instant};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

pub(crate) use self::batches::Batches;
use crate::{
    App,
    error::Error,
    gate::{path, ticket::TicketId},
    order_id::OrderId,
    orders,
    shop::{self, Buyer, Path},
};

/// The address to buy at.
pub(crate) const BUY: &str = "/sales/{sale_id}/purchase/{path}";

/// The header that says which request this is.
pub(crate) const KEY: &str = "idempotency-key";

/// What an address to buy at names.
#[derive(Deserialize)]
pub(crate) struct HiddenPath {
    sale_id: i64,
    path: String,
}

/// One buyer's attempt at one unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt {
    pub(crate) sale_id: i64,
    pub(crate) buyer: Buyer,
    /// The same number again is the same attempt again.
    pub(crate) request: i64,
    pub(crate) path: TicketId,
    /// Whether it may have been made before: then only Redis knows the answer.
    pub(crate) again: bool,
}

/// What Redis says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A unit is held, and this will be its order.
    Held(OrderId),
    /// The sale is not in Redis, or not in the state that we know. Nothing was done.
    Warming,
    NotOpen,
    Closed,
    LimitReached,
    SoldOut,
    Denied,
    /// Too old, or a unit was bought with it.
    WrongPath,
    /// More buyers than can be counted.
    Crowded,
    /// And how long to wait.
    TooOften(Duration),
    /// Nothing was said in time. A unit may be held.
    Unanswered,
    /// Redis takes no writes. Nothing was done.
    Refused,
    /// It was not asked, because too many are waiting.
    Overloaded,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Outcome::Held(_) => "held",
            Outcome::Warming => "warming",
            Outcome::NotOpen => "not-open",
            Outcome::Closed => "closed",
            Outcome::LimitReached => "limit-reached",
            Outcome::SoldOut => "sold-out",
            Outcome::Denied => "denied",
            Outcome::WrongPath => "wrong-path",
            Outcome::Crowded => "crowded",
            Outcome::TooOften(_) => "too-often",
            Outcome::Unanswered => "unanswered",
            Outcome::Refused => "refused",
            Outcome::Overloaded => "overloaded",
        }
    }
}

/// `POST /sales/{sale_id}/purchase/{path}`: holds one unit for the buyer who asks.
///
/// # Errors
/// 409 `sold-out` and `limit-reached`, 404 `wrong-path`, 403 `not-open` and `blocked`, 410 `closed`, 429 `rate-limited`,
/// 503 `overloaded` and `timed-out`.
pub(crate) async fn handler(
    app: State<App>,
    Path(HiddenPath { sale_id, path }): Path<HiddenPath>,
    buyer: Buyer,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let path = path::check(&app.signer, &path, sale_id, buyer).ok_or(Error::WrongPath)?;
    app.catalogue.find(sale_id).await?;
    let key = idempotency_key(&headers)?;
    let request = key.map_or_else(|| fastrand::i64(..), |key| hash(buyer, key));
    let began = Instant::now();
    let outcome = app.batches.ask(Attempt { sale_id, buyer, request, path, again: key.is_some() }).await;
    metrics::histogram!("reserve_seconds").record(began.elapsed());
    metrics::counter!("attempts_total", "outcome" => outcome.word()).increment(1);
    match outcome {
        Outcome::Held(order_id) => {
            tracing::info!(order = order_id.0, buyer = buyer.id, request_id = request_id(&headers), "reserved");
            Ok(queued(order_id))
        }
        Outcome::SoldOut => Err(app.catalogue.sold_out(sale_id)),
        Outcome::LimitReached => Err(Error::LimitReached(orders::held(&app, sale_id, buyer).await.unwrap_or(None))),
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

/// `202`: this will be an order. Whether it became one is told at `watch`.
fn queued(order_id: OrderId) -> Response {
    let address = format!("/orders/{}", order_id.0);
    let body = json!({ "status": "queued", "order_id": order_id, "watch": format!("{address}/watch") });
    (StatusCode::ACCEPTED, [(header::LOCATION, address)], Json(body)).into_response()
}

/// What the edge calls this request in its own log.
fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(|id| id.len() <= 64)
}

/// The request's `Idempotency-Key`: the same key of the same buyer is the same request.
///
/// # Errors
/// It is empty, or longer than 100 bytes.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(key) = headers.get(KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=100).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Error::invalid("an Idempotency-Key has 1 to 100 printable characters")),
    }
}

fn hash(buyer: Buyer, key: &str) -> i64 {
    let hash = Sha256::new().chain_update(buyer.id.to_be_bytes()).chain_update(key).finalize();
    i64::from_be_bytes(std::array::from_fn(|n| hash[n]))
}
