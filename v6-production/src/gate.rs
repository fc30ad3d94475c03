//! Who may buy. A purchase passes the gates in this order. Gates 0 to 4 run in this process; gates 5 to 9 are lines of
//! `reserve.lua`, so that nothing can happen between them and the reservation.
//!
//! 0. `filter`: the sale is not known to be sold out
//! 1. `origin`: the request does not come from another site's page
//! 2. `session`: who the buyer is
//! 3. `limits`: a rate limit, by IP address before the login and by session after it
//! 4. `path`: the hidden path was made for this buyer. The `puzzle` before it is not a gate: it spreads the crowd over time
//! 5. the deny list
//! 6. frequency: the buyer's attempts at all instances together, in a fixed window
//! 7. the sale's window, by Redis's clock
//! 8. the path again: it has not expired, and no unit was bought with it
//! 9. one unit per buyer

/// Rate limits by IP address and by session.
pub(crate) mod limits;
/// Cross-site requests.
pub(crate) mod origin;
/// The hidden purchase path.
pub(crate) mod path;
/// The entry puzzle.
pub(crate) mod puzzle;
/// The login and its cookie.
pub(crate) mod session;
/// Signatures with HMAC.
pub(crate) mod signer;
/// Signed tokens, for paths and puzzles.
pub(crate) mod ticket;

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use self::limits::Limits;
use crate::{app::App, error::Error, headers, idempotency, links, observe};

/// Gate 0: refuses a purchase of a sale that is known to be sold out, before routing and before anything that costs more. In a
/// stampede this is nearly every answer, and all other requests, also those for other sales, wait behind it.
///
/// A request with an `Idempotency-Key` passes: it may repeat one whose answer was lost, and only Redis knows that answer.
pub(crate) async fn filter(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_post = request.method() == Method::POST;
    let sale_id = if is_post { links::sale_of_purchase(request.uri().path()) } else { None };
    let may_be_repeated = request.headers().contains_key(idempotency::HEADER);
    let Some(sale_id) = sale_id.filter(|&sale_id| !may_be_repeated && app.sold_out.is(sale_id)) else {
        return next.run(request).await;
    };
    metrics::counter!("filtered_total").increment(1);
    let mut response = Error::SoldOut { units_may_return: app.catalogue.units_may_return(sale_id) }.into_response();
    observe::count(links::PURCHASE, response.status());
    headers::add(response.headers_mut(), app.over_tls);
    response
}

/// What gates 1 to 3 need.
pub(crate) struct Gates {
    pub(crate) app: App,
    /// Other origins whose pages may use this shop, as `https://shop.example`.
    pub(crate) origins: Arc<[String]>,
    /// `None`: these routes have no rate limit.
    pub(crate) limits: Option<Arc<Limits>>,
}

/// Gates 1 to 3, in one layer. Handlers find the [`Buyer`](crate::shop::Buyer) in the request's extensions.
///
/// # Errors
/// 403 `cross-site`, 403 `blocked`, 429 `rate-limited`.
pub(crate) async fn layer(
    State(gates): State<Arc<Gates>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Result<Response, Error> {
    origin::check(&gates.origins, request.method(), request.headers())?;
    let buyer = session::buyer(&gates.app, request.headers());
    if let Some(buyer) = buyer {
        request.extensions_mut().insert(buyer);
    }
    if let Some(limits) = &gates.limits {
        limits.admit(peer, request.headers(), buyer)?;
    }
    Ok(next.run(request).await)
}
