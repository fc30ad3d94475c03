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

/// Why a request is refused. Each variant becomes a problem document (RFC 9457) with a stable `type`.
#[derive(Debug)]
pub(crate) enum Error {
    /// A refusal that earlier chapters have as well.
    Shop(shop::Error),
    /// 403 `blocked` or 429 `rate-limited`, by chapter 4's limit.
    Limit(Refusal),
    /// 409 `sold-out`: no unit is left.
    SoldOut {
        /// Whether units may become free again, because they are not paid yet.
        units_may_return: bool,
    },
    /// 409 `limit-reached`: the buyer has a unit already, with this order. `None` if the order was not found.
    LimitReached(Option<OrderId>),
    /// 404 `wrong-path`: the path is forged, another buyer's, used or expired.
    WrongPath,
    /// 403 `wrong-answer`: the answer is wrong, or the puzzle is another buyer's, expired or answered already.
    WrongAnswer,
    /// 429 `rate-limited`: too many attempts; the window ends after this time.
    TooOften(Duration),
    /// 403 `blocked`: this buyer is on the deny list.
    Denied,
    /// 403 `cross-site`: another site's page had the browser send the request.
    CrossSite,
    /// 403 `not-open`: the sale opens later.
    NotOpen,
    /// 410 `closed`: the sale is over, or the order has ended.
    Closed(&'static str),
    /// 503 `overloaded`: a server does not answer, or the sale is being rebuilt. Nothing was changed.
    Unavailable(&'static str),
    /// 503 `timed-out`: there was no answer in time, so a unit may be reserved. Repeat the request with the same idempotency key.
    Unanswered,
    /// 503 `timed-out`: the result is not known yet; with what may have happened.
    Unknown(&'static str),
    /// 402 `declined`: the card was not charged, and this payment has ended.
    Declined(&'static str),
    /// 409 `conflict`: the order does not allow this now; with the reason.
    Conflict(&'static str),
    /// 409 `limit-reached`: there were too many payments for this order.
    TooManyPayments,
    /// 422 `key-reused`: the idempotency key was used for another request.
    KeyReused,
}

impl Error {
    /// 400 `invalid-request`, with the reason.
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
                let detail = "too many attempts; try again later";
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
            Error::Unknown(detail) => later(problem(StatusCode::SERVICE_UNAVAILABLE, "timed-out", detail)),
            Error::Declined(detail) => problem(StatusCode::PAYMENT_REQUIRED, "declined", detail),
            Error::Conflict(detail) => later(problem(StatusCode::CONFLICT, "conflict", detail)),
            Error::KeyReused => {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "this key came with another request before")
            }
        }
    }
}

/// A problem document with more members.
fn with(status: StatusCode, kind: &str, detail: &str, more: Value) -> Response {
    let mut body =
        json!({ "type": kind, "title": kind.replace('-', " "), "status": status.as_u16(), "detail": detail });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}

/// Adds `Retry-After: 1`.
fn later(response: Response) -> Response {
    after(response, 1)
}

/// Adds `Retry-After`, in seconds.
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

/// Only for statements that may be repeated: after an error, nothing was changed, or the repetition finds what was.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match crate::sql::is_unavailable(&error) {
            true => Error::Unavailable("the database is away"),
            false => Error::Shop(error.into()),
        }
    }
}
