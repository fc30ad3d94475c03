//! The summary of rounds: in each cell the median, and from where to where the rounds reach.

use super::table::{Cell, Row, Table, left, right};
use crate::{
    compare::{FIGURES, Figure, Rounds, Spread},
    record::Run,
};

/// The table of these runs; `None` if none was played twice.
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

/// How many rounds are not in the figures; `None` if all are.
pub(super) fn left_out(rounds: &Rounds) -> Option<String> {
    let (all, invalid) = (rounds.all.len(), rounds.all.len() - rounds.valid());
    (invalid > 0).then(|| format!("{invalid} of {all} rounds are invalid and left out"))
}
