//! The page and its two files, which are compiled into the program. The name of a file contains a hash of its text, so a browser
//! may cache it for a year: a changed file has another name.

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// A file of the page, and its name in the URL.
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: &'static str,
    pub(super) content_type: &'static str,
}

impl File {
    fn new(ending: &str, text: &'static str) -> File {
        let hash = hex::encode(&Sha256::digest(text)[..8]);
        let name = format!("page.{hash}.{ending}");
        File { content_type: content_type(&name), name, text }
    }
}

pub(super) fn content_type(name: &str) -> &'static str {
    match name.ends_with(".css") {
        true => "text/css; charset=utf-8",
        false => "text/javascript; charset=utf-8",
    }
}

/// One script for the browser, in four source files.
const SCRIPT: &str =
    concat!(include_str!("shop.js"), include_str!("order.js"), include_str!("pay.js"), include_str!("page.js"),);

pub(super) static FILES: LazyLock<[File; 2]> =
    LazyLock::new(|| [File::new("css", include_str!("page.css")), File::new("js", SCRIPT)]);

pub(super) static PAGE: LazyLock<String> = LazyLock::new(|| {
    FILES.iter().fold(include_str!("index.html").to_owned(), |page, file| {
        let (_, ending) = file.name.rsplit_once('.').unwrap_or_default();
        page.replace(&format!("page.{ending}"), &file.name)
    })
});

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

    /// The content security policy forbids these. Without this test, a buyer would find out first.
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
