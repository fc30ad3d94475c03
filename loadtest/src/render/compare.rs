//! The comparison of two files: a row for each version and figure.

use super::{
    rounds::{cell, left_out},
    table::{Cell, Row, Table, left, right},
    text::significant,
};
use crate::compare::{FIGURES, Figure, Ratio, Rounds, ratio};

/// The comparison of the rounds that both files have.
pub fn table(pairs: &[(Rounds, Rounds)]) -> Table {
    let columns = [
        left("version", 28),
        left("median (min to max)", 19),
        right("A", 24),
        right("B", 24),
        right("B/A", 7),
        right("90 % interval", 16),
        left("difference", 24),
    ];
    let rows = pairs.iter().flat_map(|pair| FIGURES.map(|figure| row(pair, figure)));
    Table::new(columns, rows).with_keys(2)
}

/// Notes on rounds that are left out because they are invalid.
pub fn notes(pairs: &[(Rounds, Rounds)]) -> Vec<String> {
    let sides = pairs.iter().flat_map(|(a, b)| [("A", a), ("B", b)]);
    sides.filter_map(|(side, rounds)| Some(format!("{}, {side}: {}", rounds.title(), left_out(rounds)?))).collect()
}

fn row((a, b): &(Rounds, Rounds), figure: Figure) -> Row {
    let ratio = ratio(&a.values(figure), &b.values(figure));
    let shown = ratio.map_or("–".into(), |ratio| significant(ratio.value));
    let interval = ratio.and_then(|ratio| ratio.interval);
    let interval =
        interval.map_or("–".into(), |(low, high)| format!("{} to {}", significant(low), significant(high)));
    let cells: [Cell; 7] = [
        a.title().into(),
        figure.name().into(),
        cell(a, figure),
        cell(b, figure),
        shown.into(),
        interval.into(),
        difference(ratio).into(),
    ];
    Row::new(cells)
}

/// What a ratio means in words.
fn difference(ratio: Option<Ratio>) -> &'static str {
    match ratio {
        None => "no ratio to 0 or to none",
        Some(Ratio { interval: None, .. }) => "one round: no interval",
        Some(Ratio { interval: Some((low, high)), .. }) => match () {
            () if low > 1.0 => "B is higher",
            () if high < 1.0 => "B is lower",
            () => "inside the noise",
        },
    }
}
