//! The hidden purchase path. It is made when a buyer asks for it, which is possible only while the sale is open. So a script cannot
//! send purchases before the opening: it does not know the URL.
//!
//! It does *not* stop a script that waits for the opening and then asks like everybody else.

use std::sync::Arc;

use anyhow::ensure;
use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, REFERRER_POLICY},
    },
    middleware::Next,
    response::Response,
};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BUY, Gates, Mode, Rules, SalePath, expiring::Expiring, refused::Refused};
use crate::shop::{Buyer, Error, Path};

/// The secret of the demo mode. Everybody who reads it can make valid paths, so production mode refuses it.
const DEMO_SECRET: &str = "everybody who reads the source of chapter 5 knows this";

/// The paths that were issued and not used yet: at most one per buyer and sale.
pub struct Paths {
    keyed: Hmac<Md5>,
    nonces: Expiring<(i64, i64), [u8; 16]>,
}

impl Paths {
    /// No paths yet.
    ///
    /// # Errors
    /// The secret is shorter than 32 bytes, or it is the public one in production mode.
    pub fn new(rules: &Rules) -> anyhow::Result<Paths> {
        let secret = rules.path_secret.as_deref().unwrap_or(DEMO_SECRET);
        ensure!(secret.len() >= 32, "PATH_SECRET has {} bytes; it needs 32 or more", secret.len());
        if secret == DEMO_SECRET {
            ensure!(rules.mode == Mode::Demo, "MODE production needs a PATH_SECRET of its own");
            tracing::warn!("demo mode: everybody can know the secret that paths are made with");
        }
        let keyed = Hmac::new_from_slice(secret.as_bytes())?;
        Ok(Paths { keyed, nonces: Expiring::new(rules.path_ttl, rules.remembered as usize) })
    }

    /// Issues a path for this buyer and sale: 32 hex digits. It replaces the one that was issued before.
    ///
    /// # Errors
    /// Too many paths are in use, or the system has no random numbers.
    pub fn issue(&self, now: i64, sale_id: i64, buyer_id: i64) -> Result<String, Error> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|_| Error::Overloaded)?;
        self.nonces.insert(now, (sale_id, buyer_id), nonce).map_err(|_| Error::Overloaded)?;
        let path = self.sign(sale_id, buyer_id, nonce).finalize().into_bytes();
        Ok(hex::encode(path))
    }

    /// Uses a path up. True if it was issued for this buyer and sale, has not expired, and was not used before.
    pub fn redeem(&self, now: i64, sale_id: i64, buyer_id: i64, path: &str) -> bool {
        let mut sent = [0; 16];
        if hex::decode_to_slice(path, &mut sent).is_err() {
            return false;
        }
        // `verify` compares in constant time.
        let right = |nonce: &[u8; 16]| self.sign(sale_id, buyer_id, *nonce).verify(&sent.into()).is_ok();
        self.nonces.take(now, &(sale_id, buyer_id), right).is_some()
    }

    /// All parts have a fixed length, so two different messages never become the same bytes.
    fn sign(&self, sale_id: i64, buyer_id: i64, nonce: [u8; 16]) -> Hmac<Md5> {
        self.keyed.clone().chain_update(sale_id.to_be_bytes()).chain_update(buyer_id.to_be_bytes()).chain_update(nonce)
    }
}

/// `POST /sales/{sale_id}/path`: returns the purchase link of this buyer.
///
/// # Errors
/// 401 `unauthenticated`, 503 `overloaded`.
pub async fn issue(
    gates: Extension<Arc<Gates>>,
    Path(SalePath { sale_id }): Path<SalePath>,
    buyer: Buyer,
) -> Result<Json<Value>, Error> {
    let path = gates.paths.issue(gates.clock.now_ms(), sale_id, buyer.id)?;
    let href = BUY.replace("{sale_id}", &sale_id.to_string()).replace("{path}", &path);
    Ok(Json(json!({ "buy": { "method": "POST", "href": href } })))
}

/// The sale and the path in a purchase URL.
#[derive(Deserialize)]
pub struct HiddenPath {
    sale_id: i64,
    path: String,
}

/// The gate: the path was issued for this buyer and sale, and is used for the first time.
///
/// # Errors
/// 404 `wrong-path`, the same for every reason.
pub async fn layer(
    State(gates): State<Arc<Gates>>,
    Path(HiddenPath { sale_id, path }): Path<HiddenPath>,
    buyer: Buyer,
    request: Request,
    next: Next,
) -> Result<Response, Refused> {
    if !gates.paths.redeem(gates.clock.now_ms(), sale_id, buyer.id, &path) {
        return Err(Refused::WrongPath);
    }
    metrics::counter!("passed_path_total").increment(1);
    Ok(next.run(request).await)
}

/// Keeps the purchase URL out of caches and out of the `Referer` header.
pub(super) async fn keep_secret(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
