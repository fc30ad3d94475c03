//! The buyers' session cookies. All connections of a tokio runtime share one jar, because a session is valid at every instance of
//! a shop. Each test has its own runtime, so parallel tests do not share buyers. The visitors of a run have a runtime of their
//! own as well; their buyer numbers do not overlap with others'.

use std::{
    collections::HashMap,
    sync::{LazyLock, RwLock},
};

use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};
use tokio::runtime::{Handle, Id};

/// A buyer's number within one runtime.
type Buyer = (Option<Id>, i64);

static JARS: LazyLock<RwLock<HashMap<Buyer, HeaderValue>>> = LazyLock::new(RwLock::default);

/// The buyer's cookie; `None` if the shop has set none.
pub fn of(buyer: i64) -> Option<HeaderValue> {
    JARS.read().ok()?.get(&here(buyer)).cloned()
}

/// Replaces the buyer's cookie with a forged one.
pub fn put(buyer: i64, cookie: &str) {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        insert(buyer, cookie);
    }
}

/// Stores the cookie that came with a response to this buyer.
pub fn keep(buyer: i64, headers: &HeaderMap) {
    let Some(cookie) = headers.get(SET_COOKIE) else { return };
    let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    if let Ok(pair) = HeaderValue::from_bytes(pair) {
        insert(buyer, pair);
    }
}

fn insert(buyer: i64, cookie: HeaderValue) {
    if let Ok(mut jars) = JARS.write() {
        jars.insert(here(buyer), cookie);
    }
}

fn here(buyer: i64) -> Buyer {
    (Handle::try_current().ok().map(|runtime| runtime.id()), buyer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_do_not_share_cookies() {
        let runtimes = [1, 2].map(|_| tokio::runtime::Builder::new_current_thread().build().unwrap());
        let [one, other] = &runtimes;
        one.block_on(async { put(7, "session=one") });
        assert!(other.block_on(async { of(7) }).is_none());
        assert_eq!(one.block_on(async { of(7) }).unwrap(), "session=one");
    }
}
