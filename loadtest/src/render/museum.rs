//! The list of exhibits, for the terminal and for the book.

use super::table::{Cell, Row, Shows, Table, left};
use crate::museum::{EXHIBITS, Exhibit};

const COLUMNS: [Shows<Exhibit>; 4] = [
    (left("exhibit", 24), |exhibit| exhibit.name.into()),
    (left("what is wrong", 0), |exhibit| exhibit.wrong.into()),
    (left("caught by", 0), |exhibit| exhibit.attack.into()),
    (left("needs", 12), |exhibit| needs(exhibit).into()),
];

/// The exhibits, a row each. In the terminal, sentences stand below their row.
pub fn table() -> Table {
    let rows = EXHIBITS.map(|exhibit| Row {
        notes: vec![exhibit.wrong.into(), format!("caught by: {}", exhibit.attack)],
        ..Row::of(&COLUMNS, exhibit)
    });
    Table::new(COLUMNS.map(|(column, _)| column), rows)
}

/// Where each was seen, and what does it right; for the book.
pub fn sources() -> Table {
    let columns = [left("exhibit", 24), left("seen", 0), left("fix", 0)];
    let rows = EXHIBITS.map(|exhibit| {
        let link = |file: &str| format!("[`{file}`](../../{file})");
        let name = format!("[{}](../../{})", exhibit.name, exhibit.code);
        let fix = format!("{}: {}, `{}`", exhibit.fix.how, link(exhibit.fix.file), exhibit.fix.what);
        let seen: Vec<_> = exhibit.seen.iter().map(|source| source.markdown()).collect();
        let seen = if seen.is_empty() { COMMON.to_owned() } else { seen.join("; ") };
        Row::new([name, seen, fix].map(Cell::from))
    });
    Table::new(columns, rows)
}

const COMMON: &str = "common in tutorials";

/// Where the like of an exhibit was seen, in a line.
pub fn seen(exhibit: &Exhibit) -> String {
    let seen: Vec<_> = exhibit.seen.iter().map(ToString::to_string).collect();
    if seen.is_empty() { COMMON.to_owned() } else { seen.join("; ") }
}

/// The servers that an exhibit needs.
fn needs(exhibit: &Exhibit) -> String {
    let servers: Vec<_> = exhibit.servers.iter().map(ToString::to_string).collect();
    if servers.is_empty() { "–".into() } else { servers.join(", ") }
}
