//! What every answer says to a browser and to a cache, unless it has said something else.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The same for everybody, and good for a second: an edge that keeps it asks once a second, however many ask the edge.
pub(crate) const FOR_A_SECOND: HeaderValue = HeaderValue::from_static("public, max-age=0, s-maxage=1");

/// Of what is no page: a browser that shows it, or is made to frame it, is to run and load nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// On every answer.
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    // No other site is to learn the address that somebody has come from: it may be one to buy at.
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// On what a browser shows as a page. JSON has no use for it, and a stampede has ten thousand answers to write.
const ON_PAGES: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    // What a browser would let a page do that this one does not.
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), autoplay=(), camera=(), display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), \
             magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), usb=()",
        ),
    ),
];

/// For two years, by TLS only. Said where `--mode production` promises that there is TLS: a browser does not forget it.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Adds them. What a route has said of caching, and the page of what it may load, stands.
pub(crate) fn add(headers: &mut HeaderMap, over_tls: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    for (name, value) in ON_PAGES.into_iter().filter(|_| is_page) {
        headers.insert(name, value);
    }
    if over_tls {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TLS_ONLY);
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(NOTHING);
    // An order is its buyer's, and a refusal is of this moment.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
