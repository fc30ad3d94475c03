use maud::html;

use super::{Picture, line, rect, text};
use crate::{compare::Spread, record::ways::Ways, render::text::thousands};

const LEFT: f64 = 285.0;
const RIGHT: f64 = 670.0;
const TOP: f64 = 48.0;
const BAR: f64 = 13.0;
const GAP: f64 = 12.0;
const WIDTH: f64 = 760.0;
/// The least rate of the axis, in units per second.
const LEAST: f64 = 10.0;

/// Units per second: a bar for each way and number of clients, and a line from the least to the greatest of all rounds. The axis is
/// logarithmic.
pub fn picture(file: &Ways) -> Picture {
    let clients = file.clients();
    let spread = |way: &crate::record::ways::Way, clients| {
        let rates: Vec<f64> = way.at(clients).map(|rate| rate.per_second.max(LEAST)).collect();
        Spread::of(&rates)
    };
    let all = file.ways.iter().flat_map(|way| clients.iter().filter_map(|&clients| spread(way, clients)));
    let most = all.map(|spread| spread.max).fold(LEAST * 10.0, f64::max);
    let x = |rate: f64| LEFT + (rate / LEAST).log10() / (most / LEAST).log10() * (RIGHT - LEFT);
    let row = clients.len() as f64 * BAR + GAP;
    let bottom = TOP + file.ways.len() as f64 * row;
    let decades = (1..10).map(|n| LEAST * 10_f64.powi(n)).take_while(|rate| *rate <= most);
    let numbers = clients.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let body = html! {
        (text("soft", 8.0, 16.0, format_args!("units per second, logarithmic; the bars of each way are {numbers} clients; red oversells")))
        @for rate in decades {
            (line("lane", x(rate), TOP - 6.0, x(rate), bottom))
            (text("soft middle", x(rate), TOP - 12.0, thousands(rate as i64)))
        }
        (line("axis", LEFT, TOP - 6.0, LEFT, bottom))
        @for (n, way) in file.ways.iter().enumerate() {
            @let y = TOP + n as f64 * row;
            (text("end", LEFT - 8.0, y + row / 2.0, &way.way))
            @for (n, &clients) in clients.iter().enumerate() {
                @if let Some(spread) = spread(way, clients) {
                    @let y = y + n as f64 * BAR;
                    @let class = if way.oversold() > 0 { "bar bad" } else { "bar" };
                    (rect(class, LEFT, y, (x(spread.median) - LEFT).max(1.0), BAR - 2.0, 0.0))
                    (line("wait", x(spread.min), y + BAR / 2.0 - 1.0, x(spread.max), y + BAR / 2.0 - 1.0))
                    (text("small", x(spread.max) + 6.0, y + BAR - 2.0, thousands(spread.median.round() as i64)))
                }
            }
        }
    };
    let label = format!("Units per second of {} ways to take one unit, at {numbers} clients", file.ways.len());
    Picture { class: "chart", label, width: WIDTH, height: bottom + 8.0, body }
}
