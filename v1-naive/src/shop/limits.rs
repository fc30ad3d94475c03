use std::time::Duration;

use axum::{
    body::{Body, HttpBody, to_bytes},
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

impl Limits {
    /// Reads the whole body first, so that a slow or endless client holds no database connection.
    ///
    /// # Errors
    /// 408 and 413 `invalid-request`: the body is too slow or too large.
    pub async fn read(self, request: Request) -> Result<Request, Error> {
        let (parts, body) = request.into_parts();
        if body.is_end_stream() {
            return Ok(Request::from_parts(parts, body)); // there is no body
        }
        let refuse = |status, detail: &str| Error::InvalidRequest(status, detail.into());
        let body = timeout(self.time, to_bytes(body, self.body)).await;
        let body = body.map_err(|_| refuse(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?;
        let body = body.map_err(|_| refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large or breaks off"))?;
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    /// Waits for an answer as long as a request may take.
    ///
    /// # Errors
    /// 504 `timed-out`.
    pub async fn in_time<T>(self, answer: impl Future<Output = T>) -> Result<T, Error> {
        timeout(self.time, answer).await.map_err(|_| Error::TimedOut)
    }
}

/// Both limits, as a layer.
pub(super) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Result<Response, Error> {
    let request = limits.read(request).await?;
    limits.in_time(next.run(request)).await
}
