//! The summary of several rounds: each cell has the median and the range.

use super::table::{Cell, Row, Table, left, right};
use crate::{
    compare::{FIGURES, Figure, Rounds, Spread},
    record::Run,
};

/// The summary of these runs; `None` if every version was played once.
pub fn table(runs: &[Run]) -> Option<Table> {
    let all = Rounds::of(runs);
    if all.iter().all(|rounds| rounds.all.len() < 2) {
        return None;
    }
    let figures = FIGURES.map(|figure| right(figure.name(), 24));
    let columns = [left("median (min to max)", 32), right("rounds", 6)].into_iter().chain(figures);
    let row = |rounds: &Rounds| Row {
        notes: left_out(rounds).into_iter().collect(),
        ..Row::new(
            [rounds.title().into(), rounds.valid().into()]
                .into_iter()
                .chain(FIGURES.map(|figure| cell(rounds, figure))),
        )
    };
    Some(Table::new(columns, all.iter().map(row)))
}

/// Median and range; a dash if no valid round has the figure.
pub(super) fn cell(rounds: &Rounds, figure: Figure) -> Cell {
    Spread::of(&rounds.values(figure)).map_or("–".into(), Cell::from)
}

/// Says how many rounds are invalid and left out; `None` if all are valid.
pub(super) fn left_out(rounds: &Rounds) -> Option<String> {
    let (all, invalid) = (rounds.all.len(), rounds.all.len() - rounds.valid());
    (invalid > 0).then(|| format!("{invalid} of {all} rounds are invalid and left out"))
}
