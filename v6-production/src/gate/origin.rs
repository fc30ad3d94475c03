use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{error::Error, idempotency};

/// How long a browser may cache the answer to a CORS preflight request.
const FOR_AN_HOUR: Duration = Duration::from_secs(3600);

/// Refuses a request that another site's page had the browser send (cross-site request forgery): it would carry the session
/// cookie without the buyer's consent.
///
/// A browser names the page's origin in `Origin` with every `POST` and every WebSocket. A client without `Origin` is not a
/// browser, and has no cookie that another site could abuse.
///
/// # Errors
/// 403 `cross-site`.
pub(super) fn check(origins: &[String], method: &Method, headers: &HeaderMap) -> Result<(), Error> {
    if is_ours(origins, method, headers) { Ok(()) } else { Err(Error::CrossSite) }
}

/// The CORS layer: allows pages of these origins to call this shop and to read its answers.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let sites = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(sites))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, HeaderName::from_static(idempotency::HEADER)])
        .expose_headers([header::LOCATION, header::RETRY_AFTER])
        .max_age(FOR_AN_HOUR)
}

fn is_ours(origins: &[String], method: &Method, headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = named.next() else {
        // An old browser, or one that another site's page told to omit the header.
        let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        return !elsewhere || (method == Method::GET && is_navigation(headers));
    };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match origin.to_str() {
        Ok(_) if named.next().is_some() => false,
        Ok(origin) => {
            let (_, site) = origin.split_once("://").unwrap_or_default();
            host.is_some_and(|host| !host.is_empty() && site.eq_ignore_ascii_case(host))
                || origins.iter().any(|ours| ours.eq_ignore_ascii_case(origin))
        }
        Err(_) => false,
    }
}

/// Whether a person followed a link to this shop from another site, which changes nothing.
fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate")
        && headers.get("sec-fetch-dest").is_some_and(|dest| dest == "document")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(origins: &[&str], headers: &[(&'static str, &str)]) -> bool {
        asks(Method::POST, origins, headers)
    }

    fn asks(method: Method, origins: &[&str], headers: &[(&'static str, &str)]) -> bool {
        let origins: Vec<String> = origins.iter().map(|&one| one.to_owned()).collect();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        is_ours(&origins, &method, &map)
    }

    #[test]
    fn only_our_own_pages_may_ask() {
        let host = ("host", "shop.example:3000");
        for (origin, ours) in [
            ("http://shop.example:3000", true),
            ("https://SHOP.example:3000", true),
            ("http://shop.example", false),
            ("http://evil.example", false),
            ("http://shop.example:3000.evil.example", false),
            ("http://evil.example/shop.example:3000", false),
            ("http://evil.example@shop.example:3000", false),
            ("null", false),
            ("", false),
            ("shop.example:3000", false),
        ] {
            assert_eq!(passes(&[], &[host, ("origin", origin)]), ours, "{origin}");
        }
        assert!(passes(&[], &[host]), "curl");
        assert!(!passes(&[], &[host, ("sec-fetch-site", "cross-site")]));
        let visit =
            [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(asks(Method::GET, &[], &visit), "a link was clicked");
        assert!(!asks(Method::POST, &[], &visit), "a form was sent");
        assert!(!passes(&[], &[host, ("origin", "http://shop.example:3000"), ("origin", "http://evil.example")]));
    }

    #[test]
    fn sites_that_are_named_may_ask_as_well() {
        let ours = &["https://shop.example", "https://www.shop.example"];
        assert!(passes(ours, &[("host", "10.0.0.7:3000"), ("origin", "https://www.shop.example")]));
        assert!(passes(ours, &[("host", "10.0.0.7:3000"), ("origin", "http://10.0.0.7:3000")]), "its own page");
        assert!(!passes(ours, &[("host", "10.0.0.7:3000"), ("origin", "http://shop.example")]));
    }
}
