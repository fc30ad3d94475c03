//! `GET /`: the page that people buy at, and its two files. They are named by what is in them, so that a browser may keep
//! them for a year: another content is another address.

/// Its files as other versions have them.
pub(crate) mod versions;

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderValue, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{
    error::Error,
    headers::FOR_A_SECOND,
    shop::{self, Path},
};

/// Files of our own and nothing else, nowhere else to talk to, in nobody's frame; and no text ever becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// A year, the longest that a cache believes, and never asked after.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Where a file is.
pub(crate) const FILE: &str = "/static/{file}";

/// The page and its files. They need nothing of the shop: whatever answers at the links will do.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/", get(show)).route(FILE, get(file))
}

/// A file and the name it goes by.
struct File {
    name: String,
    text: &'static str,
    content_type: &'static str,
}

impl File {
    fn new(ending: &str, text: &'static str) -> File {
        let hash = hex::encode(&Sha256::digest(text)[..8]);
        let name = format!("page.{hash}.{ending}");
        File { content_type: content_type(&name), name, text }
    }
}

fn content_type(name: &str) -> &'static str {
    match name.ends_with(".css") {
        true => "text/css; charset=utf-8",
        false => "text/javascript; charset=utf-8",
    }
}

/// One file for the browser, four to read.
const SCRIPT: &str = concat!(
    include_str!("page/shop.js"),
    include_str!("page/order.js"),
    include_str!("page/pay.js"),
    include_str!("page/page.js"),
);

static FILES: LazyLock<[File; 2]> =
    LazyLock::new(|| [File::new("css", include_str!("page/page.css")), File::new("js", SCRIPT)]);

static PAGE: LazyLock<String> = LazyLock::new(|| {
    FILES.iter().fold(include_str!("page/index.html").to_owned(), |page, file| {
        let (_, ending) = file.name.rsplit_once('.').unwrap_or_default();
        page.replace(&format!("page.{ending}"), &file.name)
    })
});

/// `GET /`: the same for everybody. `/?sale=7` is sale 7's.
pub(crate) async fn show() -> impl IntoResponse {
    let policy = HeaderValue::from_static(POLICY);
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, FOR_A_SECOND)], Html(PAGE.as_str()))
}

/// What the address of a file names.
#[derive(Deserialize)]
pub(crate) struct FilePath {
    file: String,
}

/// `GET /static/{file}`.
///
/// # Errors
/// 404 `not-found`.
async fn file(Path(FilePath { file }): Path<FilePath>) -> Result<Response, Error> {
    own(&file).ok_or(Error::Shop(shop::Error::NotFound))
}

/// A file of this version.
fn own(name: &str) -> Option<Response> {
    let known = FILES.iter().find(|known| known.name == name)?;
    Some(answer(known.content_type, known.text))
}

fn answer(content_type: &'static str, text: impl IntoResponse) -> Response {
    let content_type = HeaderValue::from_static(content_type);
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, FOR_GOOD)], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_its_files_as_they_are() {
        for file in FILES.iter() {
            assert_eq!(PAGE.matches(&format!("\"/static/{}\"", file.name)).count(), 1, "{}", file.name);
        }
        assert_ne!(File::new("js", "one").name, File::new("js", "two").name);
    }

    /// What the policy forbids would be found by a buyer, not by us.
    #[test]
    fn nothing_is_inline() {
        for forbidden in ["<style", "style=", "onclick", "onload", "javascript:", "<script>"] {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
        for forbidden in ["eval(", "innerHTML", "insertAdjacentHTML", "document.write", "http://", "https://"] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }
}
