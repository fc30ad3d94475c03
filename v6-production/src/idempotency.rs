use axum::http::HeaderMap;

use crate::error::Error;

/// The request header with the client's name for a request: the same key of the same buyer is the same request.
pub(crate) const HEADER: &str = "idempotency-key";

/// The request's `Idempotency-Key`; `None` if the header is missing.
///
/// # Errors
/// 400 `invalid-request`: the key is empty, longer than 100 bytes, or not printable ASCII.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(key) = headers.get(HEADER) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=100).contains(&key.len()) => Ok(Some(key)),
        _ => Err(Error::invalid("an Idempotency-Key has 1 to 100 printable characters")),
    }
}
