use axum::{
    http::header,
    response::{Html, IntoResponse},
};

/// Nothing from elsewhere, nowhere else to talk to, in nobody's frame.
const POLICY: &str = "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; \
                      style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`: the sale's page. It follows the links that the shop gives it, as every buyer does; `/?sale=7` is sale 7's.
pub async fn show() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("page.html")))
}
