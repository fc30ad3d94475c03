//! Who may buy. A purchase passes the gates in this order. Gates 0 to 4 run in this process; gates 5 to 9 are lines of
//! `reserve.lua`, so that nothing can happen between them and the reservation.
//!
//! 0. `filter`: the sale is not known to be sold out
//! 1. `origin`: the request does not come from another site's page
//! 2. `session`: who the buyer is
//! 3. `limits`: a rate limit, by IP address up to the login and by session after it
//! 4. `path`: the hidden path was made for this buyer. The `puzzle` before it is not a gate: it spreads the crowd over time
//! 5. the deny list
//! 6. frequency: the buyer's attempts at all instances together, in a fixed window
//! 7. the sale's window, by Redis's clock
//! 8. the path again: it has not expired, and no unit was bought with it
//! 9. one unit per buyer

/// Sold-out sales.
pub(crate) mod filter;
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

use axum::{body::HttpBody, extract::Request};

use self::limits::Limits;
use crate::{app::App, error::Error, links};

/// What gates 1 to 3 need.
pub(crate) struct Gates {
    /// Other origins whose pages may use this shop, as `https://shop.example`.
    pub(crate) origins: Arc<[String]>,
    /// `None`: these routes have no rate limit.
    pub(crate) limits: Option<Arc<Limits>>,
}

impl Gates {
    /// Gates 1 to 3. Handlers find the [`Buyer`](crate::shop::Buyer) in the request's extensions.
    ///
    /// # Errors
    /// 403 `cross-site`, 403 `blocked`, 429 `rate-limited`.
    pub(crate) fn check(&self, app: &App, peer: SocketAddr, request: &mut Request) -> Result<(), Error> {
        origin::check(&self.origins, request.method(), request.headers())?;
        let buyer = session::buyer(app, request.headers());
        if let Some(buyer) = buyer {
            request.extensions_mut().insert(buyer);
        }
        if let Some(limits) = &self.limits {
            // A new session has a full bucket. So a login counts for the address, also if it is made in a session.
            let is_login = request.uri().path() == links::SESSION && !request.body().is_end_stream();
            limits.admit(peer, request.headers(), buyer.filter(|_| !is_login))?;
        }
        Ok(())
    }
}
