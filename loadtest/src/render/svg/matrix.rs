use std::fmt::Write;

use super::escape;
use crate::{matrix::rows, record::Record, scenario::SCENARIOS, verdict::Verdict};

const WIDTH: f64 = 1240.0;
const LEFT: f64 = 150.0;
const TOP: f64 = 40.0;
const ROW: f64 = 62.0;

const STYLE: &str = ".matrix text{font:15px system-ui,sans-serif;fill:#1c1b1a}.matrix .soft{fill:#67625c}.matrix .small{font-size:13px}.matrix .head{font-weight:600}\
    .matrix .word{font-weight:700}.matrix .held{fill:#dcefe2;stroke:#17683a}.matrix .broke{fill:#fbe1de;stroke:#b3261e}.matrix .none{fill:none;stroke:#ddd6cd}\
    .matrix .wrong{stroke-width:5}.matrix .may{stroke-dasharray:3 4}.matrix .invalid{fill:none;stroke:#9a6a00;stroke-dasharray:9 6}\
    @media (prefers-color-scheme:dark){.matrix text{fill:#f2eee8}.matrix .soft{fill:#aaa39a}.matrix .held{fill:#12301f;stroke:#7fd8a2}\
    .matrix .broke{fill:#3a1512;stroke:#ff8a7a}.matrix .none{stroke:#3f3b35}}";

/// The table of what holds and what breaks, as SVG. Each cell says in words what its colour says.
pub fn svg(record: &Record) -> String {
    let rows = rows(record);
    let column = (WIDTH - LEFT) / SCENARIOS.len() as f64;
    let mut svg = String::new();
    for (n, scenario) in SCENARIOS.iter().enumerate() {
        let x = LEFT + (n as f64 + 0.5) * column;
        let _ =
            write!(svg, "<text class=\"head\" x=\"{x:.1}\" y=\"26\" text-anchor=\"middle\">{}</text>", scenario.name());
    }
    for (n, (version, cells)) in rows.iter().enumerate() {
        let y = TOP + n as f64 * ROW;
        let _ = write!(svg, "<text class=\"head\" x=\"4\" y=\"{:.1}\">{version}</text>", y + 34.0);
        for (n, cell) in cells.iter().enumerate() {
            let x = LEFT + n as f64 * column;
            let (class, wrong) = match cell {
                None => ("none", ""),
                Some(cell) => (
                    if cell.held { "held" } else { "broke" },
                    match cell.verdict {
                        Verdict::AsPromised => "",
                        Verdict::NotAsPromised => " wrong",
                        Verdict::Measured => " may",
                        Verdict::Invalid(_) => " invalid",
                    },
                ),
            };
            let _ = write!(
                svg,
                "<rect class=\"{class}{wrong}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"8\"/>",
                x + 3.0,
                y + 3.0,
                column - 6.0,
                ROW - 6.0
            );
            let middle = x + column / 2.0;
            let _ = match cell {
                None => write!(
                    svg,
                    "<text class=\"soft\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">–</text>",
                    y + 36.0
                ),
                Some(cell) => write!(
                    svg,
                    "<text class=\"word\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
                     <text class=\"soft\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>{}",
                    y + if cell.is_wrong() { 20.0 } else { 27.0 },
                    escape(&cell.word),
                    y + if cell.is_wrong() { 36.0 } else { 47.0 },
                    escape(&cell.figure),
                    if cell.is_wrong() { not_as_promised(middle, y + 51.0) } else { String::new() }
                ),
            };
        }
    }
    let height = TOP + rows.len() as f64 * ROW + 34.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"matrix\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-label=\"Versions against attacks: what holds and what breaks\"><style>{STYLE}</style>{svg}\
         <text class=\"soft\" x=\"4\" y=\"{:.1}\">Dotted: measured, nothing was promised. Empty with dashes: invalid, says nothing. {}, commit {}</text></svg>\n",
        height - 10.0,
        record.runs.first().map_or(String::new(), |run| run.database.to_string()),
        escape(&record.commit.as_deref().unwrap_or("unknown").chars().take(12).collect::<String>()),
    )
}

/// A line of its own: beside the word it would run over the edge of the cell.
fn not_as_promised(middle: f64, y: f64) -> String {
    format!("<text class=\"small\" x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">not as promised</text>")
}
