use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use v4_ratelimit::rate_limit::Refusal;

use crate::{
    links,
    order_id::OrderId,
    shop::{self, problem},
};

/// Why a request gets no for an answer, beyond what earlier chapters say.
#[derive(Debug)]
pub(crate) enum Error {
    /// What earlier chapters say, too.
    Shop(shop::Error),
    /// 403 `blocked` or 429 `rate-limited`, by chapter 4's limit.
    Limit(Refusal),
    /// 409 `sold-out`: no unit is left. Whether some may come back, because they are not paid for.
    SoldOut {
        /// Whether some may.
        units_may_return: bool,
    },
    /// 409 `limit-reached`: one unit for each buyer, and you have yours: the order, if we still find it.
    LimitReached(Option<OrderId>),
    /// 404 `wrong-path`: made up, another's, used, or too old.
    WrongPath,
    /// 403 `wrong-answer`: to the puzzle; or it is another's, too old, or answered.
    WrongAnswer,
    /// 429 `rate-limited`: so many attempts, and how long to wait.
    TooOften(Duration),
    /// 403 `blocked`: this buyer is on the deny list.
    Denied,
    /// 403 `cross-site`: another site had the browser ask.
    CrossSite,
    /// 403 `not-open`.
    NotOpen,
    /// 410 `closed`: the sale is over, or the order has expired.
    Closed(&'static str),
    /// 503 `overloaded`: a server that this needs is away, or the sale is being made ready. Nothing was changed.
    Unavailable(&'static str),
    /// 503 `timed-out`: asked, and no answer came in time. Not a no: ask again with the same idempotency key.
    Unanswered,
    /// 503 `timed-out`: nobody knows yet what came of the payment.
    PaymentUnknown,
    /// 402 `declined`: the card was not charged, and this payment is over.
    Declined(&'static str),
    /// 409 `conflict`, with a reason.
    Conflict(&'static str),
    /// 409 `limit-reached`: this order has seen too many payments.
    TooManyPayments,
    /// 422 `key-reused`: the idempotency key came with another request before.
    KeyReused,
}

impl Error {
    /// 400 `invalid-request`.
    pub(crate) fn invalid(detail: impl Into<String>) -> Error {
        Error::Shop(shop::Error::InvalidRequest(StatusCode::BAD_REQUEST, detail.into()))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::Shop(error) => error.into_response(),
            Error::Limit(refusal) => refusal.into_response(),
            Error::SoldOut { units_may_return } => {
                let detail = match units_may_return {
                    true => "no unit is left now; those that are not paid for come back",
                    false => "no unit is left",
                };
                with(StatusCode::CONFLICT, "sold-out", detail, json!({ "units_may_return": units_may_return }))
            }
            Error::LimitReached(order_id) => {
                let order = order_id.map(|id| {
                    let [href, watch] = [links::ORDER, links::WATCH].map(|pattern| links::order(pattern, id));
                    json!({ "order_id": id, "watch": watch, "order": { "method": "GET", "href": href } })
                });
                with(StatusCode::CONFLICT, "limit-reached", "one unit for each buyer", order.unwrap_or_default())
            }
            Error::WrongPath => {
                let detail = "this is no address to buy at; ask for a new one";
                problem(StatusCode::NOT_FOUND, "wrong-path", detail)
            }
            Error::WrongAnswer => {
                let detail = "not the answer, or the puzzle is answered or too old; ask for another one";
                problem(StatusCode::FORBIDDEN, "wrong-answer", detail)
            }
            Error::TooOften(wait) => {
                let detail = "so many attempts are enough for now";
                let wait = wait.as_millis().div_ceil(1000).max(1) as u64;
                after(problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited", detail), wait)
            }
            Error::Denied => problem(StatusCode::FORBIDDEN, "blocked", "you are on the deny list"),
            Error::CrossSite => problem(StatusCode::FORBIDDEN, "cross-site", "another site has asked for this"),
            Error::TooManyPayments => {
                problem(StatusCode::CONFLICT, "limit-reached", "too many payments for this order")
            }
            Error::NotOpen => problem(StatusCode::FORBIDDEN, "not-open", "the sale is not open yet"),
            Error::Closed(detail) => problem(StatusCode::GONE, "closed", detail),
            Error::Unavailable(detail) => later(problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)),
            Error::Unanswered => later(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "timed-out",
                "no answer in time; you may have a unit: ask again with the same Idempotency-Key",
            )),
            Error::PaymentUnknown => later(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "timed-out",
                "the card may have been charged; ask again with the same Idempotency-Key, or look at the order",
            )),
            Error::Declined(detail) => problem(StatusCode::PAYMENT_REQUIRED, "declined", detail),
            Error::Conflict(detail) => later(problem(StatusCode::CONFLICT, "conflict", detail)),
            Error::KeyReused => {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "this key came with another request before")
            }
        }
    }
}

/// A problem document that says more.
fn with(status: StatusCode, kind: &str, detail: &str, more: Value) -> Response {
    let mut body =
        json!({ "type": kind, "title": kind.replace('-', " "), "status": status.as_u16(), "detail": detail });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}

fn later(response: Response) -> Response {
    after(response, 1)
}

fn after(mut response: Response, seconds: u64) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Error::Limit(refusal)
    }
}

impl From<shop::Error> for Error {
    fn from(error: shop::Error) -> Self {
        Error::Shop(error)
    }
}

/// For statements of which a failure leaves nothing changed, or nothing that a repetition would not find.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match crate::sql::is_unavailable(&error) {
            true => Error::Unavailable("the database is away"),
            false => Error::Shop(error.into()),
        }
    }
}
