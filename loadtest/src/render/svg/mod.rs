//! Pictures: alone in a file, or as a part of the report.

/// The charts of one run.
pub(super) mod chart;
/// How far the requests of a stampede get.
pub mod funnel;
/// The ladder of the versions, as a picture of its own.
pub mod ladder;
/// One order of events: a lane for each buyer and one for the row.
pub mod lanes;
/// Versions against scenarios.
pub mod matrix;

/// Makes text of a run file harmless: somebody else may have written it.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
