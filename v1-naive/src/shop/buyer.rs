use axum::{
    extract::{FromRequestParts, Request},
    http::request::Parts,
    middleware::Next,
    response::Response,
};

use super::Error;

/// The buyer of a request. Handlers take it as an argument; a layer in front of them has set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buyer {
    /// The buyer's id, a positive number.
    pub id: i64,
}

impl<S: Sync> FromRequestParts<S> for Buyer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get().copied().ok_or(Error::Unauthenticated)
    }
}

/// Takes the buyer from the header `x-buyer-id`. The header stands in for a login and proves nothing. Chapter 6 has sessions.
///
/// # Errors
/// The header is not a positive number.
pub async fn header_login(mut request: Request, next: Next) -> Result<Response, Error> {
    if let Some(header) = request.headers().get("x-buyer-id") {
        let id = header.to_str().ok().and_then(|id| id.parse().ok()).filter(|id| *id > 0);
        let id = id.ok_or_else(|| Error::invalid("x-buyer-id is a positive number"))?;
        request.extensions_mut().insert(Buyer { id });
    }
    Ok(next.run(request).await)
}
