use super::{super::text::thousands, units};
use crate::{
    record::{Record, Run},
    scenario::Scenario,
    version::Version,
};

/// What a table row says, and how it is taken from a run.
type Figure = (&'static str, fn(&Run) -> String);

const FIGURES: [Figure; 5] = [
    ("honest buyers turned away", |run| units(told(run, "wrong-path"))),
    ("sold of stock", |run| format!("<td>{} of {}", thousands(run.audit.orders), thousands(run.stock))),
    ("oversold", |run| units(run.audit.oversold)),
    ("lost promises", |run| units(run.audit.lost_promises)),
    ("no answer", |run| format!("<td>{}", thousands(told(run, "unknown")))),
];

/// Chapters 5 and 6 beside each other where chapter 5 breaks; nothing if the record lacks one of the four runs.
pub(super) fn section(record: &Record) -> String {
    let cells = [Scenario::TwoInstances, Scenario::Restart].map(|scenario| {
        let [five, six] = [Version::V5, Version::V6].map(|version| record.run_of(version, scenario));
        Some((scenario, [five?, six?]))
    });
    let [Some(two), Some(restart)] = cells else { return String::new() };

    let (mut scenarios, mut versions, mut rows) = (String::new(), String::new(), String::new());
    for (scenario, _) in [two, restart] {
        scenarios += &format!("<th colspan=\"2\">{}", scenario.name());
        versions += "<th>chapter 5<th>chapter 6";
    }
    for (what, figure) in FIGURES {
        rows += &format!("<tr><th scope=\"row\">{what}");
        two.1.iter().chain(&restart.1).for_each(|run| rows += &figure(run));
        rows += "</tr>";
    }
    format!(
        "<section class=\"instances\"><h2>Two instances, and a restart</h2>\
         <p>Chapter 5 keeps in each process to whom it gave which address. The other instance, or the same one after a kill -9, \
         knows none of them and turns honest buyers away. Chapter 6 signs them: every instance can tell, and none has to \
         remember.</p>\
         <div class=\"wide\"><table><thead><tr><th>{scenarios}</tr><tr><th>{versions}</tr></thead>\
         <tbody>{rows}</tbody></table></div></section>\n"
    )
}

fn told(run: &Run, kind: &str) -> i64 {
    run.outcomes.get(kind).copied().unwrap_or_default() as i64
}
