use std::fmt::Write;

use super::{super::text::thousands, escape};
use crate::{
    record::{Record, Run},
    scenario::Scenario,
    version::Version,
};

/// What each version added, and what breaks it: the words of the picture. The figures are the record's.
const STEPS: [(Version, &str, &str); 6] = [
    (Version::V1, "look, compare, write back", "right for one buyer; a crowd all looks before the first writes"),
    (Version::V2, "select … for update", "nothing oversold; buyers of other sales wait as well"),
    (Version::V3, "where version = $2, try again", "nobody waits to look; the whole crowd still reaches SQL"),
    (Version::V4, "a token bucket in front", "floods stay outside; one buyer may still take everything"),
    (Version::V5, "window, cap, hidden path, one each", "fair to people; with two instances it turns them away"),
    (Version::V6, "Redis decides, a queue carries, SQL records", "any number of instances; what a crash costs is time"),
];

const STYLE: &str = "text{font:15px system-ui,sans-serif;fill:#1c1b1a}.soft{fill:#67625c}.big{font-size:20px;font-weight:700}\
    .bad{fill:#b3261e}.good{fill:#17683a}.step{fill:#fff;stroke:#ddd6cd}\
    @media (prefers-color-scheme:dark){text{fill:#f2eee8}.soft{fill:#aaa39a}.bad{fill:#ff8a7a}.good{fill:#7fd8a2}\
    .step{fill:#211f1c;stroke:#3f3b35}}";

/// The ladder of the versions, the newest on top, as SVG. A version that the record lacks is left out.
pub fn svg(record: &Record) -> String {
    let of = |version| record.run_of(version, Scenario::Stampede);
    let steps: Vec<_> = STEPS.iter().filter_map(|step| Some((step, of(step.0)?))).collect();
    let (height, rise, shift) = (steps.len() as f64 * 104.0 + 44.0, 104.0, 60.0);
    let mut svg = String::new();
    for (n, ((version, idea, breaks), run)) in steps.iter().enumerate() {
        let (x, y) = (10.0 + n as f64 * shift, height - 44.0 - (n + 1) as f64 * rise + 10.0);
        let (class, verdict) = verdict(run);
        let _ = write!(
            svg,
            "<rect class=\"step\" x=\"{x}\" y=\"{y}\" width=\"700\" height=\"94\" rx=\"12\"/>\
             <text class=\"big\" x=\"{tx}\" y=\"{y1}\">{version}</text>\
             <text class=\"soft\" x=\"{tx}\" y=\"{y2}\">{idea}</text>\
             <text class=\"soft\" x=\"{tx}\" y=\"{y3}\">{breaks}</text>\
             <text class=\"big {class}\" x=\"{end}\" y=\"{y1}\" text-anchor=\"end\">{verdict}</text>",
            tx = x + 20.0,
            end = x + 680.0,
            y1 = y + 30.0,
            y2 = y + 55.0,
            y3 = y + 78.0,
            idea = escape(idea),
            breaks = escape(breaks),
        );
    }
    let buyers = steps.first().map_or(0, |(_, run)| run.buyers);
    let stock = steps.first().map_or(0, |(_, run)| run.stock);
    let width = 720.0 + shift * steps.len().saturating_sub(1) as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"The versions as a ladder, from the naive sale upwards\"><style>{STYLE}</style>{svg}\
         <text class=\"soft\" x=\"10\" y=\"{:.0}\">{} buyers at once for {} units; {}, commit {}</text></svg>\n",
        height - 16.0,
        thousands(buyers as i64),
        thousands(stock),
        steps.first().map_or(String::new(), |(_, run)| run.database.to_string()),
        escape(&record.commit.as_deref().unwrap_or("unknown").chars().take(12).collect::<String>()),
    )
}

fn verdict(run: &Run) -> (&'static str, String) {
    if run.verdict.invalid().is_some() {
        return ("soft", "invalid run".into());
    }
    let class = if run.is_broken() { "bad" } else { "good" };
    (class, format!("{} sold: {}", thousands(run.audit.orders), run.promised))
}
