//! What browsers keep for the buyers: their sessions. One jar for all connections of this process, because a session is good
//! at every instance of a shop.

use std::{
    collections::HashMap,
    sync::{LazyLock, RwLock},
};

use hyper::header::{HeaderMap, HeaderValue, SET_COOKIE};

static JAR: LazyLock<RwLock<HashMap<i64, HeaderValue>>> = LazyLock::new(RwLock::default);

/// The buyer's cookie, if a shop has given one.
pub fn of(buyer: i64) -> Option<HeaderValue> {
    JAR.read().ok()?.get(&buyer).cloned()
}

/// Puts a cookie of one's own making in the place of the buyer's.
pub fn put(buyer: i64, cookie: &str) {
    if let (Ok(cookie), Ok(mut jar)) = (HeaderValue::from_str(cookie), JAR.write()) {
        jar.insert(buyer, cookie);
    }
}

/// Keeps the cookie that came with an answer to this buyer.
pub fn keep(buyer: i64, headers: &HeaderMap) {
    let Some(cookie) = headers.get(SET_COOKIE) else { return };
    let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    if let (Ok(pair), Ok(mut jar)) = (HeaderValue::from_bytes(pair), JAR.write()) {
        jar.insert(buyer, pair);
    }
}
