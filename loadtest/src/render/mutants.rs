//! The table of mutants: each cell has the first finding.

use super::table::{Cell, Mark, Row, Table, left};
use crate::{
    record::mutants::{self, Colour},
    scenario::SCENARIOS,
};

/// A row for each mutant, a column for each scenario.
pub fn table(cells: &[mutants::Cell]) -> Table {
    let columns = [left("shop", 17)].into_iter().chain(SCENARIOS.map(|scenario| left(scenario.name(), 14)));
    let rows = cells.chunk_by(|a, b| a.mutant == b.mutant).map(|cells| {
        let first = Cell::from(cells[0].mutant);
        Row::new([first].into_iter().chain(cells.iter().map(cell)))
    });
    Table::new(columns, rows)
}

fn cell(cell: &mutants::Cell) -> Cell {
    let mark = match cell.colour {
        Colour::Green => Mark::Good,
        Colour::Red => Mark::Bad,
    };
    Cell::from(cell.words()).marked(mark)
}
