use maud::html;

use super::{Picture, rect, source, text};
use crate::{
    record::{Record, Run},
    render::text::thousands,
    scenario::Scenario,
    version::Version,
};

/// The picture's words: what each version added, and what breaks it. The figures come from the record.
const STEPS: [(Version, &str, &str); 6] = [
    (Version::V1, "read, compare, write back", "right for one buyer; a crowd reads before the first write"),
    (Version::V2, "select … for update", "nothing oversold; buyers of other sales wait as well"),
    (Version::V3, "where version = $2, try again", "reads take no lock; the whole crowd still reaches SQL"),
    (Version::V4, "a token bucket in front", "floods stay outside; one buyer may still take everything"),
    (Version::V5, "window, cap, hidden path, one each", "fair to people; two instances refuse honest buyers"),
    (Version::V6, "Redis decides, a queue carries, SQL records", "any number of instances; a crash costs only time"),
];

/// How far each step lies above and to the right of the one before it.
const RISE: f64 = 104.0;
const SHIFT: f64 = 60.0;

/// The versions as a ladder, the newest on top. A version without a run in the record is left out.
pub fn picture(record: &Record) -> Picture {
    let of = |version| record.run_of(version, Scenario::Stampede);
    let steps: Vec<_> = STEPS.iter().filter_map(|step| Some((step, of(step.0)?))).collect();
    let (width, height) = (660.0 + SHIFT * steps.len() as f64, 44.0 + RISE * steps.len() as f64);
    let (buyers, stock) = steps.first().map_or((0, 0), |(_, run)| (run.buyers, run.stock));
    let body = html! {
        @for (n, ((version, idea, breaks), run)) in steps.iter().enumerate() {
            @let (x, y) = (10.0 + n as f64 * SHIFT, height - 34.0 - (n + 1) as f64 * RISE);
            @let (class, verdict) = verdict(run);
            (rect("card", x, y, 700.0, 94.0, 12.0))
            (text("big", x + 20.0, y + 30.0, version.name()))
            (text("soft", x + 20.0, y + 55.0, idea))
            (text("soft", x + 20.0, y + 78.0, breaks))
            (text(class, x + 680.0, y + 30.0, verdict))
        }
        (text("soft", 10.0, height - 16.0, format_args!(
            "{} buyers at once for {} units; {}", thousands(buyers as i64), thousands(stock), source(record)
        )))
    };
    let label = "The versions as a ladder, from the naive sale upwards".into();
    Picture { class: "ladder", label, width, height, body }
}

fn verdict(run: &Run) -> (&'static str, String) {
    if run.verdict.invalid().is_some() {
        return ("big soft end", "invalid run".into());
    }
    let class = if run.is_broken() { "big bad end" } else { "big good end" };
    (class, format!("{} sold: {}", thousands(run.audit.orders), run.word()))
}
