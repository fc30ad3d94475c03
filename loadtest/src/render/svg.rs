//! The pictures, as SVG files or as parts of the report.

/// Rates of the benchmark, as ratios to the no-op.
pub mod bench;
/// Rates against orders: a curve for each version.
pub mod capacity;
/// The charts of one run.
pub(super) mod chart;
/// How many requests of a stampede pass each gate.
pub mod funnel;
/// The ladder of the versions.
pub mod ladder;
/// One interleaving: a lane for each buyer and one for the row.
pub mod lanes;
/// The matrix: versions against scenarios.
pub mod matrix;
/// Units per second of each way.
pub mod ways;

use maud::{Markup, PreEscaped, Render, html};

use crate::record::Record;

/// The style of all pictures, with colors for light and dark mode.
pub(super) const STYLE: &str = concat!(include_str!("svg/palette.css"), include_str!("svg/svg.css"));

/// A picture. Inside the report it uses the page's style.
pub struct Picture {
    class: &'static str,
    /// The text alternative for screen readers.
    label: String,
    width: f64,
    height: f64,
    body: Markup,
}

impl Picture {
    /// The picture as a file with its own style.
    pub fn file(&self) -> String {
        self.with_style(STYLE).into_string() + "\n"
    }

    fn with_style(&self, style: &str) -> Markup {
        let (width, height) = (at(self.width), at(self.height));
        html! {
            svg xmlns="http://www.w3.org/2000/svg" class=(self.class) viewBox={ "0 0 " (width) " " (height) }
                role="img" aria-label=(self.label) {
                @if !style.is_empty() { style { (PreEscaped(style)) } }
                (self.body)
            }
        }
    }
}

impl Render for Picture {
    fn render(&self) -> Markup {
        self.with_style("")
    }
}

/// A coordinate with one decimal.
fn at(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}

/// The least distance of two labels that are above each other.
const APART: f64 = 17.0;

/// The heights of labels, each moved down as far as it would overlap the one above it. The order stays.
fn apart(heights: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<(usize, f64)> = heights.into_iter().enumerate().collect();
    sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut moved, mut last) = (vec![0.0; sorted.len()], f64::NEG_INFINITY);
    for (n, height) in sorted {
        last = height.max(last + APART);
        moved[n] = last;
    }
    moved
}

/// A text at (`x`, `y`). With `middle` or `end` in its class, `x` is the middle or the end of the text.
fn text(class: &str, x: f64, y: f64, words: impl Render) -> Markup {
    html! { text class=(class) x=(at(x)) y=(at(y)) { (words) } }
}

fn rect(class: &str, x: f64, y: f64, width: f64, height: f64, round: f64) -> Markup {
    html! { rect class=(class) x=(at(x)) y=(at(y)) width=(at(width)) height=(at(height)) rx=(round) {} }
}

fn line(class: &str, x1: f64, y1: f64, x2: f64, y2: f64) -> Markup {
    html! { line class=(class) x1=(at(x1)) y1=(at(y1)) x2=(at(x2)) y2=(at(y2)) {} }
}

/// The machine and the commit of the figures.
fn source(record: &Record) -> String {
    let database =
        record.runs.first().and_then(|run| run.database).map_or(String::new(), |database| database.to_string());
    let commit: String = record.commit.as_deref().unwrap_or("unknown").chars().take(12).collect();
    format!("{database}, commit {commit}")
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn labels_do_not_overlap() {
        assert_eq!(apart([90.0, 10.0, 12.0, 30.0]), [90.0, 10.0, 27.0, 44.0]);
    }
}
