//! The page's own files, which are compiled into the program.

/// The names, types and texts.
const FILES: [(&str, &str, &str); 13] = [
    ("index.html", HTML, include_str!("files/index.html")),
    ("page.css", CSS, concat!(include_str!("../render/svg/palette.css"), include_str!("files/page.css"))),
    ("page.js", SCRIPT, include_str!("files/page.js")),
    ("dom.js", SCRIPT, include_str!("files/dom.js")),
    ("chart.js", SCRIPT, include_str!("files/chart.js")),
    ("stampede.js", SCRIPT, include_str!("files/stampede.js")),
    ("lane.js", SCRIPT, include_str!("files/lane.js")),
    ("runs.js", SCRIPT, include_str!("files/runs.js")),
    ("scheduler.js", SCRIPT, include_str!("files/scheduler.js")),
    ("subject.js", SCRIPT, include_str!("files/subject.js")),
    ("position.js", SCRIPT, include_str!("files/position.js")),
    ("ending.js", SCRIPT, include_str!("files/ending.js")),
    ("sandbox.js", SCRIPT, include_str!("files/sandbox.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The type and the text of a file; `None` if there is none of this name.
pub(super) fn named(name: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|file| file.0 == name).map(|file| (file.1, file.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content security policy forbids these. Without this test, a reader would find out first.
    #[test]
    fn nothing_is_inline() {
        for (name, _, text) in FILES {
            for forbidden in ["<style", "style=", "onclick", "onload", "javascript:", "<script>", "eval(", "innerHTML"]
            {
                assert!(!text.contains(forbidden), "{name}: {forbidden}");
            }
        }
    }

    #[test]
    fn the_page_imports_only_its_own_files() {
        let from = regex::Regex::new(r#"(?:from|src=|href=) ?"(?:\./|/files/)([a-z]+\.[a-z]+)""#).unwrap();
        let mut imported: Vec<_> =
            FILES.iter().flat_map(|file| from.captures_iter(file.2)).map(|found| found[1].to_owned()).collect();
        imported.sort();
        imported.dedup();
        for name in &imported {
            assert!(named(name).is_some(), "{name}");
        }
        assert_eq!(imported.len(), FILES.len() - 1, "all but the page itself: {imported:?}");
    }
}
