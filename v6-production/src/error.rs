use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::shop::{self, problem};

/// Why a request gets no for an answer, beyond what earlier chapters say.
#[derive(Debug)]
pub(crate) enum Error {
    /// What earlier chapters say, too.
    Shop(shop::Error),
    /// 409 `limit-reached`: one unit for each buyer, and you have yours.
    LimitReached,
    /// 403 `not-open`.
    NotOpen,
    /// 410 `closed`: the sale is over, or the order has expired.
    Closed(&'static str),
    /// 503 `overloaded`: a server that this needs is away, or the sale is being made ready. Nothing was changed.
    Unavailable(&'static str),
    /// 503 `timed-out`: asked, and no answer came in time. Not a no: ask again with the same idempotency key.
    Unanswered,
    /// 402 `declined`: by the payment provider.
    Declined,
    /// 409 `conflict`, with a reason.
    Conflict(&'static str),
    /// 422 `key-reused`: the idempotency key came with another request before.
    KeyReused,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::Shop(error) => error.into_response(),
            Error::LimitReached => problem(StatusCode::CONFLICT, "limit-reached", "one unit for each buyer"),
            Error::NotOpen => problem(StatusCode::FORBIDDEN, "not-open", "the sale is not open yet"),
            Error::Closed(detail) => problem(StatusCode::GONE, "closed", detail),
            Error::Unavailable(detail) => later(problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)),
            Error::Unanswered => later(problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "timed-out",
                "no answer in time; you may have a unit: ask again with the same Idempotency-Key",
            )),
            Error::Declined => problem(StatusCode::PAYMENT_REQUIRED, "declined", "the payment provider declined"),
            Error::Conflict(detail) => later(problem(StatusCode::CONFLICT, "conflict", detail)),
            Error::KeyReused => {
                problem(StatusCode::UNPROCESSABLE_ENTITY, "key-reused", "this key came with another request before")
            }
        }
    }
}

fn later(mut response: Response) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

impl From<shop::Error> for Error {
    fn from(error: shop::Error) -> Self {
        Error::Shop(error)
    }
}

/// For statements of which a failure leaves nothing changed, or nothing that a repetition would not find.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match crate::sql::is_transient(&error) {
            true => Error::Unavailable("the database is away"),
            false => Error::Shop(error.into()),
        }
    }
}
