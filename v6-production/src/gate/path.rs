//! The address to buy at: made for one buyer and one sale when the buyer asks, good for a while and for one unit.
//!
//! It is signed and not remembered, unlike chapter 5's: so each instance knows the paths of all others, a restart forgets
//! none, and whoever asks for many takes no memory. What is remembered, in Redis, is the path that a unit was bought with.

use axum::{
    Json,
    extract::State,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, REFERRER_POLICY},
    },
    response::Response,
};
use serde_json::{Value, json};

use super::signer::{Signer, from_hex, to_hex};
use crate::{
    App,
    catalogue::SalePath,
    error::Error,
    reserve::BUY,
    shop::{self, Buyer, Path},
};

/// Where one is asked for.
pub(crate) const ASK: &str = "/sales/{sale_id}/path";

/// Bits below the milliseconds: two that are issued in the same one differ.
const NONCE_BITS: u32 = 12;
const SIGNATURE: usize = 16;

/// What a path is known by: the moment at which it was issued, in milliseconds since 1970, and 12 bits that tell two of the
/// same moment apart. 53 bits: Lua can take it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathId(pub(crate) i64);

impl PathId {
    pub(crate) fn issued_at(self) -> i64 {
        self.0 >> NONCE_BITS
    }
}

/// The first step to a unit of a sale, for who is logged in.
pub(crate) fn href(sale_id: i64) -> String {
    ASK.replace("{sale_id}", &sale_id.to_string())
}

/// 48 hex digits: the id and its signature.
pub(crate) fn issue(signer: &Signer, now: i64, sale_id: i64, buyer: Buyer) -> String {
    let id = now << NONCE_BITS | i64::from(fastrand::u16(..1 << NONCE_BITS));
    let signature = signer.sign("path", &[id, sale_id, buyer.id]);
    to_hex(&id.to_be_bytes()) + &to_hex(&signature[..SIGNATURE])
}

/// Which path that is, if one of us has made it for this buyer and sale. Whether it is still good, only Redis can say.
pub(crate) fn check(signer: &Signer, path: &str, sale_id: i64, buyer: Buyer) -> Option<PathId> {
    let bytes = from_hex(path)?;
    let (id, signature) = bytes.split_at_checked(8)?;
    let id = i64::from_be_bytes(id.try_into().ok()?);
    let ours = signature.len() == SIGNATURE && signer.verify("path", &[id, sale_id, buyer.id], signature);
    ours.then_some(PathId(id))
}

/// `POST /sales/{sale_id}/path`: the address to buy at, for the buyer who asks, while the sale is open.
///
/// # Errors
/// 401 `unauthenticated`, 403 `not-open`, 404 `not-found`, 409 `sold-out`, 410 `closed`.
pub(crate) async fn handler(
    app: State<App>,
    Path(SalePath { sale_id }): Path<SalePath>,
    buyer: Buyer,
) -> Result<Json<Value>, Error> {
    let sale = app.catalogue.find(sale_id).await?;
    let now = app.clock.now_ms();
    if now < sale.opens_at {
        return Err(Error::NotOpen);
    }
    if now >= sale.closes_at {
        return Err(Error::Closed("the sale is over"));
    }
    if app.sold_out.is(sale_id) {
        metrics::counter!("filtered_total").increment(1);
        return Err(shop::Error::SoldOut.into());
    }
    let path = issue(&app.signer, now, sale_id, buyer);
    let href = BUY.replace("{sale_id}", &sale_id.to_string()).replace("{path}", &path);
    Ok(Json(json!({ "buy": { "method": "POST", "href": href } })))
}

/// Neither a cache nor the next site is to learn the address.
pub(crate) async fn keep_secret(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_for_one_buyer_and_one_sale() {
        let signer = Signer::new("a secret of at least 32 bytes, really", &[]).unwrap();
        let (now, ada, bob) = (1_800_000_000_000, Buyer { id: 7 }, Buyer { id: 8 });
        let path = issue(&signer, now, 42, ada);
        assert_eq!(path.len(), 48);
        let id = check(&signer, &path, 42, ada).unwrap();
        assert_eq!(id.issued_at(), now);
        assert_eq!(id.0 as f64 as i64, id.0, "Lua's numbers hold it");
        assert_eq!(check(&signer, &path, 42, bob), None);
        assert_eq!(check(&signer, &path, 43, ada), None);
        for forged in [&path[..47], &path[..46], &path[..16], "", "é", &format!("{path}00"), &"0".repeat(48)] {
            assert_eq!(check(&signer, forged, 42, ada), None, "{forged}");
        }
        for place in 0..48 {
            let digit = path.as_bytes()[place];
            let other = if digit == b'0' { "1" } else { "0" };
            let mut forged = path.clone();
            forged.replace_range(place..=place, other);
            assert_eq!(check(&signer, &forged, 42, ada), None, "{forged}");
        }
    }
}
