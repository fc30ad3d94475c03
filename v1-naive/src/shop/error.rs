use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a request gets no for an answer. Each becomes a problem document (RFC 9457) with a stable `type`.
#[derive(Debug)]
pub enum Error {
    /// 4xx `invalid-request`: nobody could understand it. Changes nothing.
    InvalidRequest(StatusCode, String),
    /// 401 `unauthenticated`: it does not say who is buying.
    Unauthenticated,
    /// 404 `not-found`: no such thing, or not yours.
    NotFound,
    /// 409 `sold-out`.
    SoldOut,
    /// 409 `conflict`: somebody else was at the same row; nothing was changed, trying again is right.
    Conflict,
    /// 503 `overloaded` with `Retry-After`: no database connection came free in time; nothing was changed.
    Overloaded,
    /// 504 `timed-out`: the time ran out half-way, and nobody knows what was changed. Not a no.
    TimedOut,
    /// 500 `internal`: a fault of ours; its cause goes to the log. Not a no either.
    Internal(sqlx::Error),
}

impl Error {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Error::InvalidRequest(StatusCode::BAD_REQUEST, detail.into())
    }

    pub(super) fn method_not_allowed() -> Self {
        Error::InvalidRequest(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method".into())
    }
}

/// A problem document: `kind` is its `type`, `detail` is for a person to read.
pub fn problem(status: StatusCode, kind: &str, detail: &str) -> Response {
    let body = json!({ "type": kind, "title": kind.replace('-', " "), "status": status.as_u16(), "detail": detail });
    (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Error::InvalidRequest(status, detail) => problem(status, "invalid-request", &detail),
            Error::Unauthenticated => problem(StatusCode::UNAUTHORIZED, "unauthenticated", "say who you are"),
            Error::NotFound => problem(StatusCode::NOT_FOUND, "not-found", "there is no such thing here"),
            Error::SoldOut => problem(StatusCode::CONFLICT, "sold-out", "no unit is left"),
            Error::Conflict => problem(StatusCode::CONFLICT, "conflict", "others were buying; try again"),
            Error::Overloaded => {
                let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many buyers at once");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
            Error::TimedOut => {
                problem(StatusCode::GATEWAY_TIMEOUT, "timed-out", "no answer in time; you may have bought or not")
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "internal error");
                problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the fault is ours")
            }
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(cause) = &error else {
            return if matches!(error, sqlx::Error::PoolTimedOut) { Error::Overloaded } else { Error::Internal(error) };
        };
        let counter = match cause.code().as_deref() {
            // PostgreSQL. The second is what it says when the time-out fires just as the lock is granted.
            Some("55P03" | "57014") => "lock_timeouts_total",
            Some("40P01") => "deadlocks_total",
            Some("40001") => "serialization_failures_total",
            // SQLite: the lock did not come free in time, or what was read has changed since.
            Some("5" | "517") => "database_busy_total",
            // An order for a sale that does not exist.
            _ if cause.is_foreign_key_violation() => return Error::NotFound,
            _ => return Error::Internal(error),
        };
        metrics::counter!(counter).increment(1);
        Error::Conflict
    }
}
