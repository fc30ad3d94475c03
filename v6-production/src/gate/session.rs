//! Who the buyer is: a signed cookie. The login is a stand-in, a name without a password. The cookie is real: only this shop can
//! issue it, and it expires.

use axum::{
    Json,
    body::Bytes,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{path, signer::Signer};
use crate::{
    app::App,
    error::Error,
    links,
    shop::{self, Buyer},
};

/// How long a session lasts: 12 hours, in milliseconds.
const LASTS_MS: i64 = 12 * 3_600_000;
const COOKIE: &str = "session";

/// A session as the cookie's value: `buyer.expiry.signature`.
fn issue(signer: &Signer, buyer_id: i64, now: i64) -> String {
    let ends = now + LASTS_MS;
    format!("{buyer_id}.{ends}.{}", hex::encode(signer.sign("session", &[buyer_id, ends])))
}

/// The buyer of a session; `None` if its signature is wrong or it has expired.
fn check(signer: &Signer, session: &str, now: i64) -> Option<Buyer> {
    let mut parts = session.splitn(3, '.');
    let (id, ends) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let mut signature = [0; 32];
    hex::decode_to_slice(parts.next()?, &mut signature).ok()?;
    (signer.verify("session", &[id, ends], &signature) && now < ends).then_some(Buyer { id })
}

/// The buyer of a request, from the cookie alone; `None` if there is no valid session.
pub(super) fn buyer(app: &App, headers: &HeaderMap) -> Option<Buyer> {
    check(&app.signer, cookie(headers)?, app.clock.now_ms())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, session)| session)
}

/// The query of a login: the sale to continue with.
#[derive(Deserialize)]
pub(crate) struct Then {
    sale: Option<i64>,
}

/// The body of a login.
#[derive(Deserialize)]
pub(crate) struct Login {
    name: String,
}

/// `POST /session?sale=1`: logs in under the name in the body, and returns the next step to a unit of the sale. With an empty
/// body and no session, it asks for a name.
///
/// # Errors
/// 400 `invalid-request`: the name is empty or longer than 100 bytes, or `sale` is not a number.
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
                Json(json!({ "buy": links::ask(&links::session(then.sale), "name", "Your name") })).into_response()
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

/// The id of the buyer with this name: 53 bits of a hash, which is the largest integer that JavaScript holds exactly. No table of
/// buyers is needed.
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
