//! Headers for browsers and caches that every answer has, unless its handler has set them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// For answers that are the same for all buyers. A cache at the edge may keep them for a second, and then requests them once a
/// second for all its clients.
pub(crate) const FOR_A_SECOND: HeaderValue = HeaderValue::from_static("public, max-age=0, s-maxage=1");

/// The content security policy of everything but the page: a browser that shows it loads and runs nothing.
const NOTHING: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// Headers of every answer.
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    // Other sites must not learn this URL, because it may contain a purchase path.
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Headers of HTML pages. JSON does not need them, and a stampede has ten thousand answers to write.
const ON_PAGES: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    // Browser features that the page does not use.
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), autoplay=(), camera=(), display-capture=(), fullscreen=(), geolocation=(), gyroscope=(), \
             magnetometer=(), microphone=(), midi=(), payment=(), publickey-credentials-get=(), screen-wake-lock=(), usb=()",
        ),
    ),
];

/// HSTS for two years. Only sent with `--mode production`, which promises TLS, because browsers remember it.
const TLS_ONLY: HeaderValue = HeaderValue::from_static("max-age=63072000; includeSubDomains");

/// Adds the headers. `Cache-Control` and `Content-Security-Policy` are kept if the handler has set them.
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
    // Orders are private, and a refusal may be out of date at once.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
