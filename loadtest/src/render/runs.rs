//! The table of runs: in the terminal a row per run as it ends, and below it, in words, what the row says.

use super::table::{Cell, Mark, Row, Shows, Table, count, left, right, unwanted};
use crate::{
    record::Run,
    verdict::{Verdict, latency::Latency},
};

const COLUMNS: [Shows<Run>; 13] = [
    (left("version", 32), |run| run.title().into()),
    (left("database", 8).not_in_markdown(), |run| run.database.map_or("–".into(), Cell::from)),
    (right("requests", 8).not_in_markdown(), |run| count(run.requests as i64)),
    (right("told yes", 8), |run| count(run.told_yes())),
    (right("orders", 7), |run| count(run.audit.orders)),
    (right("`sold`", 6), |run| count(run.audit.sold)),
    (right("oversold", 8), |run| unwanted(run.audit.oversold)),
    (right("undersold", 9), |run| unwanted(run.audit.undersold)),
    (right("lost", 5), |run| unwanted(run.audit.lost_promises)),
    (right("requests/s", 10), |run| count(run.requests_per_second as i64)),
    (right("yes p50 / p99 ms", 16), |run| latency(run.latency_ms.bought.as_ref())),
    (right("no p50 / p99 ms", 15), |run| latency(run.latency_ms.refused.as_ref())),
    (left("verdict", 0), |run| run.outcome().into()),
];

/// The table of these runs. In the report, each row leads to its run.
pub fn table<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Table {
    let row = |(n, run): (usize, &Run)| Row {
        mark: mark(&run.verdict, run.is_broken()),
        notes: vec![run.says()],
        link: Some(format!("#run-{n}")),
        ..Row::of(&COLUMNS, run)
    };
    Table::new(COLUMNS.map(|(column, _)| column), runs.into_iter().enumerate().map(row))
}

/// Broken or not, promised or not; or invalid.
pub(super) fn mark(verdict: &Verdict, is_broken: bool) -> Mark {
    match (verdict, is_broken) {
        (Verdict::Invalid(_), _) => Mark::Invalid,
        (_, true) => Mark::Bad,
        (_, false) => Mark::Good,
    }
}

fn latency(latency: Option<&Latency>) -> Cell {
    latency.map_or("–".into(), |Latency { p50, p99, .. }| format!("{p50:.0} / {p99:.0}").into())
}
