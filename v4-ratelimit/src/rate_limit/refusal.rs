use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};

use crate::shop::problem;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// 403 `blocked`: the client is on the block list.
    Blocked,
    /// 429 `rate-limited`: there is a token after this time.
    TooFast(Duration),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::Blocked => problem(StatusCode::FORBIDDEN, "blocked", "your address is on the block list"),
            Refusal::TooFast(wait) => {
                let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "too many requests; wait");
                // `Retry-After` is in whole seconds, rounded up so that a retry never comes too early.
                let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
        }
    }
}
