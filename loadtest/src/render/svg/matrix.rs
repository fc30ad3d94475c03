use maud::{Markup, html};

use super::{Picture, rect, source, text};
use crate::{
    matrix::{Cell, rows},
    record::Record,
    scenario::SCENARIOS,
    verdict::Verdict,
};

const WIDTH: f64 = 1240.0;
const LEFT: f64 = 150.0;
const TOP: f64 = 40.0;
const ROW: f64 = 62.0;

/// The matrix of what holds and what breaks. Each cell has words as well as a color.
pub fn picture(record: &Record) -> Picture {
    let rows = rows(record);
    let column = (WIDTH - LEFT) / SCENARIOS.len() as f64;
    let left = |n: usize| LEFT + n as f64 * column;
    let height = TOP + rows.len() as f64 * ROW + 34.0;
    let body = html! {
        @for (n, scenario) in SCENARIOS.iter().enumerate() {
            (text("head middle", left(n) + column / 2.0, 26.0, scenario.name()))
        }
        @for (y, (version, cells)) in rows.iter().enumerate().map(|(n, row)| (TOP + n as f64 * ROW, row)) {
            (text("head", 4.0, y + 34.0, version))
            @for (n, cell) in cells.iter().enumerate() {
                (rect(&class(cell.as_ref()), left(n) + 3.0, y + 3.0, column - 6.0, ROW - 6.0, 8.0))
                (words(cell.as_ref(), left(n) + column / 2.0, y))
            }
        }
        (text("soft", 4.0, height - 10.0, format_args!(
            "Dotted: measured, nothing was promised. Empty with dashes: invalid, says nothing. {}", source(record)
        )))
    };
    let label = "Versions against attacks: what holds and what breaks".into();
    Picture { class: "matrix", label, width: WIDTH, height, body }
}

fn class(cell: Option<&Cell>) -> String {
    let Some(cell) = cell else { return "none".into() };
    let how = match cell.verdict {
        Verdict::AsPromised => "",
        Verdict::NotAsPromised => " wrong",
        Verdict::Measured => " may",
        Verdict::Invalid(_) => " invalid",
    };
    format!("{}{how}", if cell.held { "held" } else { "broke" })
}

/// `not as promised` has its own line in the cell; beside the word it would be too wide.
fn words(cell: Option<&Cell>, x: f64, y: f64) -> Markup {
    html! {
        @match cell {
            None => (text("soft middle", x, y + 36.0, "–")),
            Some(cell) if cell.is_wrong() => {
                (text("word middle", x, y + 20.0, &cell.word))
                (text("soft middle", x, y + 36.0, &cell.figure))
                (text("small middle", x, y + 51.0, "not as promised"))
            }
            Some(cell) => {
                (text("word middle", x, y + 27.0, &cell.word))
                (text("soft middle", x, y + 47.0, &cell.figure))
            }
        }
    }
}
