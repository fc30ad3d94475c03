//! `GET /` and `GET /static/{file}`: the page that people buy at.

/// The page and its files, in this version.
mod files;
/// The files of other versions.
pub(crate) mod versions;

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use self::files::{FILES, PAGE, content_type};
use crate::{
    app::App,
    error::Error,
    headers::FOR_A_SECOND,
    shop::{self, Path},
};

/// The page's content security policy: only its own files, requests only to this shop, no frames, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A file may be cached for a year without being requested again.
const FOR_A_YEAR: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The route of the page's files.
pub(crate) const FILE: &str = "/static/{file}";

/// The page and its files, without a shop: the page follows the links of whatever server answers.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(show)).route(FILE, get(file))
}

/// `GET /`: the page, the same for all buyers. `/?sale=7` is the page of sale 7.
pub(crate) async fn show() -> impl IntoResponse {
    let policy = HeaderValue::from_static(POLICY);
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, FOR_A_SECOND)], Html(PAGE.as_str()))
}

/// The name of a file in a URL.
#[derive(Deserialize)]
pub(crate) struct FilePath {
    file: String,
}

/// `GET /static/{file}`: a file of this version of the page.
///
/// # Errors
/// 404 `not-found`.
async fn file(Path(FilePath { file }): Path<FilePath>) -> Result<Response, Error> {
    own(&file).ok_or(Error::Shop(shop::Error::NotFound))
}

/// `GET /static/{file}`: a file of any version of the page.
///
/// # Errors
/// 404 `not-found`, 503 `overloaded`.
pub(crate) async fn any_file(app: State<App>, Path(FilePath { file }): Path<FilePath>) -> Result<Response, Error> {
    if let Some(answer) = own(&file) {
        return Ok(answer);
    }
    let text = app.page_versions.find(&app.sql, &file).await?.ok_or(Error::Shop(shop::Error::NotFound))?;
    Ok(answer(content_type(&file), text))
}

fn own(name: &str) -> Option<Response> {
    let file = FILES.iter().find(|file| file.name == name)?;
    Some(answer(file.content_type, file.text))
}

fn answer(content_type: &'static str, text: impl IntoResponse) -> Response {
    let content_type = HeaderValue::from_static(content_type);
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, FOR_A_YEAR)], text).into_response()
}
