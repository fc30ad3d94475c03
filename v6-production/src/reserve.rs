//! The path of an order, 1 of 5: **reserve** → relay → worker → notify → release.
//! In: a buyer's `POST`. Out: a unit held and an entry in the outbox, both or neither; the buyer hears `queued`.
//! When it breaks: no answer from Redis is asked for again under the same request id, which finds what was done.

/// Attempts on their way to Redis, many per call.
mod desk;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use sha2::{Digest, Sha256};

pub(crate) use self::desk::Desk;
use crate::{
    App,
    catalogue::SalePath,
    error::Error,
    order_id::OrderId,
    shop::{self, Buyer, Path},
};

/// The address to buy at.
pub(crate) const BUY: &str = "/sales/{sale_id}/purchase";

/// The same for one sale.
pub(crate) fn href(sale_id: i64) -> String {
    BUY.replace("{sale_id}", &sale_id.to_string())
}

/// What Redis says to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A unit is held, and this will be its order.
    Held(OrderId),
    /// The sale is not in Redis, or not in the state that we know.
    Warming,
    NotOpen,
    Closed,
    LimitReached,
    SoldOut,
    /// Nothing was said in time. A unit may be held.
    Unanswered,
    /// It was not asked, because too many are waiting.
    Overloaded,
}

/// `POST /sales/{sale_id}/purchase`: holds one unit for the buyer who asks.
///
/// # Errors
/// 409 `sold-out` and `limit-reached`, 403 `not-open`, 410 `closed`, 503 `overloaded` and `timed-out`.
pub(crate) async fn handler(
    app: State<App>,
    Path(path): Path<SalePath>,
    buyer: Buyer,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let sale = app.catalogue.find(path.sale_id).await?;
    let key = idempotency_key(&headers)?;
    // Who brings a key may be asking again after an answer that was lost: only Redis knows what it was.
    if key.is_none() && app.sold_out.is(sale.id) {
        metrics::counter!("filtered_total").increment(1);
        return Err(shop::Error::SoldOut.into());
    }
    let request = key.map_or_else(new_request, |key| Ok(hash(buyer, key)))?;
    match app.desk.ask(sale, buyer.id, request, key.is_some()).await {
        Outcome::Held(order_id) => Ok(queued(order_id)),
        Outcome::SoldOut => Err(shop::Error::SoldOut.into()),
        Outcome::LimitReached => Err(Error::LimitReached),
        Outcome::NotOpen => Err(Error::NotOpen),
        Outcome::Closed => Err(Error::Closed("the sale is over")),
        Outcome::Warming => Err(Error::Unavailable("the sale is being made ready")),
        Outcome::Overloaded => Err(shop::Error::Overloaded.into()),
        Outcome::Unanswered => Err(Error::Unanswered),
    }
}

/// `202`: this will be an order. Whether it became one is told at `watch`.
fn queued(order_id: OrderId) -> Response {
    let address = format!("/orders/{}", order_id.0);
    let body = json!({ "status": "queued", "order_id": order_id, "watch": format!("{address}/watch") });
    (StatusCode::ACCEPTED, [(header::LOCATION, address)], Json(body)).into_response()
}

/// The request's `Idempotency-Key`: the same key of the same buyer is the same request.
///
/// # Errors
/// It is empty, or longer than 100 bytes.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=100).contains(&key.len()) => Ok(Some(key)),
        _ => {
            let detail = "an Idempotency-Key has 1 to 100 printable characters";
            Err(Error::Shop(shop::Error::InvalidRequest(StatusCode::BAD_REQUEST, detail.into())))
        }
    }
}

fn new_request() -> Result<[u8; 16], Error> {
    let mut request = [0; 16];
    getrandom::fill(&mut request).map_err(|_| Error::Unavailable("the system has no random numbers"))?;
    Ok(request)
}

fn hash(buyer: Buyer, key: &str) -> [u8; 16] {
    let hash = Sha256::new().chain_update(buyer.id.to_be_bytes()).chain_update(key).finalize();
    std::array::from_fn(|n| hash[n])
}
