//! Who is buying: a signed cookie. The login itself is a stand-in, a name without a password; that the cookie cannot be
//! made by anybody else, and ends, is real.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{path, signer::Signer};
use crate::{
    App,
    error::Error,
    shop::{self, Buyer},
};

/// How long a session lasts.
const LASTS_MS: i64 = 12 * 3_600_000;
const COOKIE: &str = "session";

/// `buyer.end.signature`
fn issue(signer: &Signer, buyer_id: i64, now: i64) -> String {
    let ends = now + LASTS_MS;
    format!("{buyer_id}.{ends}.{}", hex::encode(signer.sign("session", &[buyer_id, ends])))
}

/// Whose session that is, if it is one of ours and has not ended.
fn check(signer: &Signer, session: &str, now: i64) -> Option<Buyer> {
    let mut parts = session.splitn(3, '.');
    let (id, ends) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let signature = hex::decode(parts.next()?).ok()?;
    let ours = signature.len() == 32 && signer.verify("session", &[id, ends], &signature);
    (ours && now < ends).then_some(Buyer { id })
}

/// Fills in the [`Buyer`] that handlers take, from the cookie and from nothing else.
pub(crate) async fn layer(app: State<App>, mut request: Request, next: Next) -> Response {
    let session = cookie(request.headers());
    if let Some(buyer) = session.and_then(|session| check(&app.signer, session, app.clock.now_ms())) {
        request.extensions_mut().insert(buyer);
    }
    next.run(request).await
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, session)| session)
}

/// The first step to a unit of a sale.
pub(crate) fn step(sale_id: i64) -> String {
    format!("/session?sale={sale_id}")
}

/// What the address of a login may say: the sale to go on to.
#[derive(Deserialize)]
pub(crate) struct Then {
    sale: Option<i64>,
}

/// What a login says.
#[derive(Deserialize)]
pub(crate) struct Login {
    name: String,
}

/// `POST /session?sale=1`: logs in under a name, and gives the next step. Without a name it asks for one, unless there is a
/// session already.
///
/// # Errors
/// 400 `invalid-request`: no name, or one that is too long.
pub(crate) async fn log_in(
    app: State<App>,
    then: Result<Query<Then>, QueryRejection>,
    session: Result<Buyer, shop::Error>,
    body: Bytes,
) -> Result<Response, Error> {
    let Ok(Query(then)) = then else { return Err(Error::invalid("sale is a number")) };
    let next = |buyer_id: i64| {
        let buy = then.sale.map(|sale| path::step(&app, sale, Buyer { id: buyer_id }));
        json!({ "buyer_id": buyer_id, "buy": buy })
    };
    if body.is_empty() {
        return Ok(match session {
            Ok(buyer) => Json(next(buyer.id)).into_response(),
            Err(_) => {
                let ask = json!([{ "name": "name", "prompt": "Your name" }]);
                let href = then.sale.map_or_else(|| "/session".into(), step);
                Json(json!({ "buy": { "method": "POST", "href": href, "ask": ask } })).into_response()
            }
        });
    }
    let login: Login =
        serde_json::from_slice(&body).map_err(|_| Error::invalid("a login is a JSON object with a name"))?;
    let name = login.name.trim();
    if name.is_empty() || name.len() > 100 {
        return Err(Error::invalid("a name has 1 to 100 bytes"));
    }
    let buyer_id = buyer_id(name);
    let session = issue(&app.signer, buyer_id, app.clock.now_ms());
    let secure = if app.over_tls { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", LASTS_MS / 1000);
    Ok(([(header::SET_COOKIE, cookie)], Json(next(buyer_id))).into_response())
}

/// The same name is the same buyer, without a table of buyers: 53 bits of a hash, which JavaScript can hold.
pub fn buyer_id(name: &str) -> i64 {
    let hash = Sha256::digest(name.as_bytes());
    let first = u64::from_be_bytes(hash[..8].try_into().unwrap_or_default());
    ((first >> 11) as i64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_good_until_its_end_and_for_nobody_else() {
        let signer = Signer::new("a secret of at least 32 bytes, really", &[]).unwrap();
        let session = issue(&signer, 7, 1000);
        assert_eq!(check(&signer, &session, 1000), Some(Buyer { id: 7 }));
        assert_eq!(check(&signer, &session, 1000 + LASTS_MS), None, "ended");
        let (_, rest) = session.split_once('.').unwrap();
        assert_eq!(check(&signer, &format!("8.{rest}"), 1000), None, "another buyer");
        let longer = session.replacen(&(1000 + LASTS_MS).to_string(), &(9_000_000_000_000_i64).to_string(), 1);
        assert_eq!(check(&signer, &longer, 1000), None, "a later end");
        let other = Signer::new("another secret of at least 32 bytes, too", &[]).unwrap();
        assert_eq!(check(&other, &session, 1000), None, "another secret");
        for broken in ["", ".", "7", "7.1", "7.9999999999999.", "7.9999999999999.zz", "7.9999999999999.é"] {
            assert_eq!(check(&signer, broken, 1000), None, "{broken}");
        }
        assert_eq!(check(&signer, &session[..session.len() - 2], 1000), None, "cut off");
    }

    #[test]
    fn a_name_is_always_the_same_buyer() {
        assert_eq!(buyer_id("ada"), buyer_id("ada"));
        assert_ne!(buyer_id("ada"), buyer_id("bob"));
        assert!((1..1 << 53).contains(&buyer_id("ada")));
    }
}
