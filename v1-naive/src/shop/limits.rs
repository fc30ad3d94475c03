use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use tokio::time::timeout;

use super::{Config, Error};

/// The largest body in bytes, and the longest time of a request.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    body: usize,
    time: Duration,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Limits { body: config.body_limit as usize, time: config.request_timeout }
    }
}

/// Reads the whole body first, so that a slow or endless client holds no database connection.
pub(super) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    let refuse = |status, detail: &str| Error::InvalidRequest(status, detail.into());
    let body = timeout(limits.time, to_bytes(body, limits.body)).await;
    let body = body.map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?;
    let body = body.map_err(|_| refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or breaks off"))?;

    let response = next.run(Request::from_parts(parts, Body::from(body)));
    timeout(limits.time, response).await.map_err(|_| Error::TimedOut)
}
