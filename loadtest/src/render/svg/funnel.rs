use maud::html;

use super::{Picture, rect, text};
use crate::{
    record::{Record, Run},
    render::text::thousands,
    scenario::Scenario,
    version::VERSIONS,
};

const LEFT: f64 = 250.0;
const RIGHT: f64 = 680.0;
const BAR: f64 = 22.0;

/// The shops' counters at their gates with their labels, in the order of the gates.
const GATES: [(&str, &str); 6] = [
    ("passed_rate_limit", "past the limiter"),
    ("passed_window", "past the window"),
    ("passed_frequency", "past the frequency cap"),
    ("passed_path", "past the path"),
    ("passed_filter", "past the filter, into Redis"),
    ("relayed", "out of Redis, into the queue"),
];

/// How many requests of a stampede were left after each gate; the last number is what reached SQL.
fn stages(run: &Run) -> Vec<(&'static str, u64)> {
    let mut stages = match run.nginx {
        // Behind nginx the count begins with the page; without it, only requests for a unit count.
        Some(nginx) => vec![
            ("come to nginx", nginx.requests),
            ("past its cache, to an instance", nginx.passed_on),
            ("attempts at a unit", run.requests),
        ],
        None => vec![("past the page", run.requests)],
    };
    stages.extend(GATES.iter().filter_map(|(counter, words)| Some((*words, *run.counters.get(*counter)?))));
    let reached = stages.last().map_or(0, |stage| stage.1);
    stages.push(("reach SQL", reached));
    stages
}

/// The stampede of each version as a funnel.
pub fn picture(record: &Record) -> Picture {
    let runs = VERSIONS.iter().filter_map(|&version| record.run_of(version, Scenario::Stampede));
    let runs: Vec<_> = runs.map(|run| (run.version, stages(run))).collect();
    let most = runs.iter().flat_map(|(_, stages)| stages).map(|stage| stage.1).max().unwrap_or_default().max(1) as f64;
    let (mut parts, mut y) = (Vec::new(), 6.0);
    for (version, stages) in &runs {
        parts.push(text("head", 4.0, y + 16.0, version.name()));
        for (n, (words, requests)) in stages.iter().enumerate() {
            let width = (*requests as f64 / most * (RIGHT - LEFT)).max(1.0);
            let class = if n + 1 == stages.len() { "bar bad" } else { "bar" };
            parts.push(html! {
                (text("soft end", LEFT - 8.0, y + 16.0, words))
                (rect(class, LEFT, y + 2.0, width, BAR - 5.0, 0.0))
                (text("", LEFT + width + 8.0, y + 16.0, thousands(*requests as i64)))
            });
            y += BAR;
        }
        y += 14.0;
    }
    let label = "How far the requests of a stampede get, version by version".into();
    Picture { class: "funnel", label, width: 760.0, height: y, body: html! { @for part in parts { (part) } } }
}
