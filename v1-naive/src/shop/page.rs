use axum::{
    http::header,
    response::{Html, IntoResponse},
};

/// The content security policy: nothing from other sites, requests only to this shop, no frames.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; \
                      style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`: the sale page. It follows the links in the shop's answers, like every buyer. `/?sale=7` is the page of sale 7.
pub async fn show() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("page.html")))
}
