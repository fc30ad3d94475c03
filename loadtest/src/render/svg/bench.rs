use maud::html;

use super::{Picture, line, rect, text};
use crate::{
    bench::goals::{Figure, GOALS, Reached},
    compare::Spread,
    record::bench::{Bench, Subject},
    render::text::significant,
};

const LEFT: f64 = 170.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 30.0;
const ROW: f64 = 28.0;
const BAR: f64 = 18.0;
const WIDTH: f64 = 760.0;

/// The rates as ratios to the no-op: a bar for each subject and number of connections, and a line at each bar that has to be reached.
pub fn picture(file: &Bench) -> Picture {
    let is_shop = |subject| !matches!(subject, Subject::NoOp | Subject::BareHyper | Subject::Wrk);
    let subjects = file.subjects().into_iter().filter(|(subject, _)| is_shop(*subject));
    let rows: Vec<_> = subjects
        .filter_map(|(subject, connections)| {
            Some((subject, connections, Spread::of(&file.to_no_op(subject, connections))?))
        })
        .collect();
    let most = rows.iter().map(|row| row.2.max).fold(1.0, f64::max);
    let x = |ratio: f64| LEFT + ratio / most * (RIGHT - LEFT);
    let bottom = TOP + rows.len() as f64 * ROW;
    let body = html! {
        (text("soft", 8.0, 16.0, "requests or orders per second, as a ratio to a handler that does nothing; the line is the goal"))
        (line("axis", LEFT, TOP, LEFT, bottom))
        @for (n, (subject, connections, spread)) in rows.iter().enumerate() {
            @let y = TOP + n as f64 * ROW + (ROW - BAR) / 2.0;
            @let goal = GOALS.iter().find(|goal| goal.figure == Figure::Ratio(*subject, Subject::NoOp) && goal.connections == *connections);
            @let class = match goal.map(|goal| goal.reached(file)) {
                Some(Reached::Aim | Reached::Bar) => "bar good",
                Some(Reached::No) => "bar bad",
                Some(Reached::Unknown) | None => "bar",
            };
            (text("end", LEFT - 8.0, y + 13.0, format_args!("{subject}, {connections}")))
            (rect(class, LEFT, y, (x(spread.median) - LEFT).max(1.0), BAR, 0.0))
            (line("lane", x(spread.min), y + BAR / 2.0, x(spread.max), y + BAR / 2.0))
            @let bar = goal.and_then(|goal| goal.bar_and_aim).map(|(bar, _)| bar);
            @if let Some(bar) = bar { (line("stock", x(bar), y - 3.0, x(bar), y + BAR + 3.0)) }
            (text("", x(bar.unwrap_or_default().max(spread.max)) + 8.0, y + 13.0, significant(spread.median)))
        }
    };
    let label = "Rates of refusing, of selling and of each version as ratios to a handler that does nothing".into();
    Picture { class: "chart", label, width: WIDTH, height: bottom + 12.0, body }
}
