//! The middleware of every route. It is one function, because each layer of its own costs every request several allocations.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tracing::Instrument;

use crate::{app::App, error::Error, gate::Gates, headers, observe, shop};

/// What the middleware of a group of routes needs.
pub(crate) struct Middleware {
    pub(crate) app: App,
    pub(crate) limits: shop::Limits,
    /// `None`: the operators' routes and unknown ones, which have no gates.
    pub(crate) gates: Option<Gates>,
}

/// Answers a request, counts the answer by route and status, and adds the headers that every answer has.
pub(crate) async fn handle(
    State(middleware): State<Arc<Middleware>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let (began, span) = (Instant::now(), shop::span(&request));
    let route: Option<MatchedPath> = request.extensions().get().cloned();
    let answer = middleware.answer(peer, request, next).instrument(span.clone()).await;
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    observe::count(route.as_ref().map_or("none", MatchedPath::as_str), response.status());
    headers::add(response.headers_mut(), middleware.app.over_tls);
    tracing::debug!(parent: &span, status = response.status().as_u16(), took = ?began.elapsed(), "answered");
    response
}

impl Middleware {
    async fn answer(&self, peer: SocketAddr, request: Request, next: Next) -> Result<Response, Error> {
        let mut request = self.limits.read(request).await?;
        if let Some(gates) = &self.gates {
            gates.check(&self.app, peer, &mut request)?;
        }
        // Chapters 1 to 5 answer 504. Here every `timed-out` is a 503 with `Retry-After`.
        self.limits.in_time(next.run(request)).await.map_err(|_| Error::Unanswered)
    }
}
