//! The matrix of what holds and what breaks, for the terminal and the README.

use super::{
    runs::mark,
    table::{Cell, Row, Table, left},
};
use crate::{matrix, record::Record, scenario::SCENARIOS};

/// A row for each version, a column for each scenario.
pub fn table(record: &Record) -> Table {
    let columns = [left("", 15)].into_iter().chain(SCENARIOS.map(|scenario| left(scenario.name(), 16)));
    let rows = matrix::rows(record).into_iter().map(|(version, cells)| {
        let cells = cells.iter().map(|cell| cell.as_ref().map_or("–".into(), shown));
        Row::new([version.into()].into_iter().chain(cells))
    });
    Table::new(columns, rows)
}

fn shown(cell: &matrix::Cell) -> Cell {
    let shown = Cell::from(&cell.word).marked(mark(&cell.verdict, !cell.held)).with(&cell.figure);
    if cell.is_wrong() { shown.with("NOT AS PROMISED") } else { shown }
}
