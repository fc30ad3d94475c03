//! The table of explored interleavings.

use super::{
    runs::mark,
    table::{Row, Shows, Table, count, left, right, unwanted},
};
use crate::record::interleavings::Explored;

/// The place of the column of classes.
const CLASSES: usize = 3;

const COLUMNS: [Shows<Explored>; 10] = [
    (left("version", 32), |explored| explored.title().into()),
    (right("buyers, units", 13), |explored| format!("{}, {}", explored.buyers, explored.stock).into()),
    (right("interleavings", 13), |explored| count(explored.orders_of_events as i64)),
    (right("classes", 8), |explored| count(explored.classes.unwrap_or_default() as i64)),
    (right("oversell", 8), |explored| unwanted(explored.oversell as i64)),
    (right("undersell", 9), |explored| unwanted(explored.undersell as i64)),
    (right("conflicts", 9), |explored| count(explored.conflicts as i64)),
    (right("waits", 6), |explored| count(explored.blocked as i64)),
    (right("deadlocks", 9), |explored| count(explored.deadlocks as i64)),
    (left("verdict", 0).not_in_markdown(), |explored| explored.outcome().into()),
];

/// The table of these versions. In the terminal, each row is followed by its sentence. Records from before classes were counted
/// have no column of them.
pub fn table<'a>(explored: impl IntoIterator<Item = &'a Explored>) -> Table {
    let explored: Vec<_> = explored.into_iter().collect();
    let counted = explored.is_empty() || explored.iter().any(|explored| explored.classes.is_some());
    let columns: Vec<_> =
        COLUMNS.into_iter().enumerate().filter(|(n, _)| counted || *n != CLASSES).map(|(_, c)| c).collect();
    let row = |explored: &Explored| {
        let shortest = explored.shortest.as_ref();
        let shortest = shortest.map(|order| format!("the shortest that breaks: {}", order.join(" · ")));
        Row {
            mark: mark(&explored.verdict, explored.is_broken()),
            notes: [explored.says()].into_iter().chain(shortest).collect(),
            ..Row::of(&columns, explored)
        }
    };
    Table::new(columns.iter().map(|(column, _)| *column), explored.into_iter().map(row))
}
