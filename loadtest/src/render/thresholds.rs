//! The table of thresholds, with the measured values.

use super::table::{Cell, Mark, Row, Table, left, right};
use crate::{record::Run, verdict::threshold::Checked};

/// The table of these runs; `None` if no threshold was set.
pub fn table(runs: &[Run]) -> Option<Table> {
    let all: Vec<_> = runs.iter().flat_map(|run| run.thresholds.iter().map(move |checked| (run, checked))).collect();
    let columns = [left("version", 32), right("seed", 6), left("fails if", 28), right("measured", 14), left("", 16)];
    (!all.is_empty()).then(|| Table::new(columns, all.into_iter().map(|(run, checked)| row(run, checked))))
}

fn row(run: &Run, checked: &Checked) -> Row {
    let (outcome, mark) = if checked.failed { ("THRESHOLD FAILED", Mark::Bad) } else { ("passed", Mark::Good) };
    let cells: [Cell; 5] =
        [run.title().into(), run.seed.into(), (&checked.threshold).into(), checked.value().into(), outcome.into()];
    Row { mark, ..Row::new(cells) }
}
