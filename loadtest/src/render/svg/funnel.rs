use std::fmt::Write;

use crate::render::text::thousands;
use crate::{
    record::{Record, Run},
    scenario::Scenario,
    version::VERSIONS,
};

const WIDTH: f64 = 760.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 680.0;
const BAR: f64 = 22.0;

const STYLE: &str = ".funnel text{font:14px system-ui,sans-serif;fill:#1c1b1a}.funnel .soft{fill:#67625c}.funnel .head{font-weight:700}\
    .funnel .bar{fill:#2c5f9e}.funnel .sql{fill:#b3261e}\
    @media (prefers-color-scheme:dark){.funnel text{fill:#f2eee8}.funnel .soft{fill:#aaa39a}.funnel .bar{fill:#8fbcf2}.funnel .sql{fill:#ff8a7a}}";

/// What the shops count at their gates, and the words for it, in the order of the gates.
const GATES: [(&str, &str); 6] = [
    ("passed_rate_limit", "past the limiter"),
    ("passed_window", "past the window"),
    ("passed_frequency", "past the frequency cap"),
    ("passed_path", "past the path"),
    ("passed_filter", "past the filter, into Redis"),
    ("relayed", "out of Redis, into the queue"),
];

/// How many requests of a stampede were left after each gate; the last number is what reached SQL.
pub fn stages(run: &Run) -> Vec<(&'static str, u64)> {
    let mut stages = match run.nginx {
        // The whole visit, from opening the page on; without nginx in front, only the attempts count.
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

/// The stampede of each version as a funnel, as SVG.
pub fn svg(record: &Record) -> String {
    let runs = VERSIONS.iter().filter_map(|&version| record.run_of(version, Scenario::Stampede));
    let runs: Vec<_> = runs.collect();
    let most = runs.iter().map(|run| run.requests).max().unwrap_or_default().max(1) as f64;
    let (mut svg, mut y) = (String::new(), 6.0);
    for run in runs {
        let stages = stages(run);
        let _ = write!(svg, "<text class=\"head\" x=\"4\" y=\"{:.1}\">{}</text>", y + 16.0, run.version);
        for (n, (words, requests)) in stages.iter().enumerate() {
            let width = (*requests as f64 / most * (RIGHT - LEFT)).max(1.0);
            let class = if n + 1 == stages.len() { "sql" } else { "bar" };
            let _ = write!(
                svg,
                "<text class=\"soft\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 8.0,
                y + 16.0,
                y + 2.0,
                BAR - 5.0,
                LEFT + width + 8.0,
                y + 16.0,
                thousands(*requests as i64)
            );
            y += BAR;
        }
        y += 14.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"funnel\" viewBox=\"0 0 {WIDTH} {y}\" role=\"img\" \
         aria-label=\"How far the requests of a stampede get, version by version\"><style>{STYLE}</style>{svg}</svg>\n"
    )
}
