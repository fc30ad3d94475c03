use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Why a request is refused. Each variant becomes a problem document (RFC 9457) with a stable `type`.
#[derive(Debug)]
pub enum Error {
    /// 4xx `invalid-request`: the request is malformed. Nothing was changed.
    InvalidRequest(StatusCode, String),
    /// 401 `unauthenticated`: the request does not name its buyer.
    Unauthenticated,
    /// 404 `not-found`: it does not exist, or it belongs to another buyer.
    NotFound,
    /// 409 `sold-out`: no unit is left.
    SoldOut,
    /// 409 `conflict`: another purchase changed the same row. Nothing was changed; the request may be repeated. Without a transaction
    /// (chapter 1 and `process-lock`) the counter may have been raised.
    Conflict,
    /// 503 `overloaded` with `Retry-After`: no database connection was free in time. Nothing was changed. Without a transaction
    /// (chapter 1 and `process-lock`) the counter may have been raised.
    Overloaded,
    /// 504 `timed-out`: the request took too long. It is unknown whether anything was changed.
    TimedOut,
    /// 500 `internal`: an error in this program; the log has its cause. It is unknown whether anything was changed.
    Internal(sqlx::Error),
}

impl Error {
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Error::InvalidRequest(StatusCode::BAD_REQUEST, detail.into())
    }

    /// 405 `invalid-request`: the route exists, and takes another method.
    pub fn method_not_allowed() -> Self {
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
            // PostgreSQL's lock time-out. The second code comes when the time-out fires just as the lock is granted.
            Some("55P03" | "57014") => "lock_timeouts_total",
            Some("40P01") => "deadlocks_total",
            Some("40001") => "serialization_failures_total",
            // SQLite: the lock was not free in time, or the data has changed since it was read.
            Some("5" | "517") => "database_busy_total",
            // The order is for a sale that does not exist.
            _ if cause.is_foreign_key_violation() => return Error::NotFound,
            _ => return Error::Internal(error),
        };
        metrics::counter!(counter).increment(1);
        Error::Conflict
    }
}
