//! The tables of the ways to take one unit: rates, and what each way survives.

use std::sync::LazyLock;

use super::{
    table::{Cell, Mark, Row, Table, left, right},
    text::{significant, thousands},
};
use crate::{
    compare::Spread,
    record::ways::{Measured, Pause, Rate, Way},
    ways::audit::Audit,
};

/// The heads of the columns for each number of clients. Heads of a table live as long as the program.
static HEADS: LazyLock<Vec<[String; 2]>> =
    LazyLock::new(|| (0..=256).map(|clients| [format!("units/s, {clients}"), format!("p99 ms, {clients}")]).collect());

/// The width of a name: the longest is `mariadb-conditional-queued-undetected`.
const NAME: usize = 37;

/// The way that was measured last, as a line of progress.
pub fn line(way: &Way) -> String {
    if let Some(why) = &way.failed {
        return format!("{:NAME$} failed: {why}", way.way);
    }
    let round = way.rates.last().map_or(0, |rate| rate.round);
    let rates = way.rates.iter().filter(|rate| rate.round == round);
    let rates = rates.map(|rate| format!("{} at {}", thousands(rate.per_second.round() as i64), rate.clients));
    format!("{:NAME$} units/s: {}", way.way, rates.collect::<Vec<_>>().join(", "))
}

/// The rates, with the medians of all rounds, and what each way survives.
pub fn tables(measured: &Measured) -> [Table; 2] {
    [rates(measured), survives(measured)]
}

/// Why ways were skipped or have failed, and what the rates leave out.
pub fn notes(measured: &Measured) -> Vec<String> {
    let failed = measured.ways.iter().filter_map(|way| Some(format!("{} failed: {}", way.way, way.failed.as_ref()?)));
    let skipped = measured.skipped.iter().map(|one| format!("{} was skipped: {}", one.way, one.why));
    failed.chain(skipped).collect()
}

fn rates(measured: &Measured) -> Table {
    let clients = measured.clients();
    let heads = |which: usize| clients.iter().filter_map(move |clients| Some(HEADS.get(*clients)?[which].as_str()));
    let columns = heads(0).map(|head| right(head, 12)).chain(heads(1).map(|head| right(head, 11)));
    let rows = measured.ways.iter().map(|way| {
        let median = |clients: usize, of: fn(&Rate) -> Option<f64>| {
            let values: Vec<f64> = way.at(clients).filter_map(of).collect();
            Spread::of(&values).map(|spread| spread.median)
        };
        let per_second = clients.iter().map(|&clients| match median(clients, |rate| Some(rate.per_second)) {
            Some(rate) => thousands(rate.round() as i64),
            None => "–".into(),
        });
        let p99 = clients.iter().map(|&clients| {
            let p99 = median(clients, |rate| rate.latency_ms.as_ref().map(|latency| latency.p99));
            p99.map_or("–".into(), significant)
        });
        let cells = [way.way.clone()].into_iter().chain(per_second).chain(p99);
        let mark = if way.failed.is_some() { Mark::Invalid } else { Mark::None };
        Row { mark, ..Row::new(cells.map(Cell::from)) }
    });
    Table::new([left("way", NAME)].into_iter().chain(columns), rows)
}

fn survives(measured: &Measured) -> Table {
    let columns = [
        left("way", NAME),
        right("calls, 1", 8),
        right("calls, 64", 9),
        left("one process", 16),
        left("processes", 16),
        left("restart", 16),
        left("pause", 18),
        left("choose it when", 40),
    ];
    let rows = measured.ways.iter().map(|way| {
        let calls = |of: fn(&crate::record::ways::Calls) -> f64| {
            Cell::from(way.calls.as_ref().map_or("–".into(), |calls| format!("{:.1}", of(calls))))
        };
        // The rates may have oversold where the small sale of the audit did not.
        let one = way.one_process.map(|audit| Audit { oversold: audit.oversold.max(way.oversold()), ..audit });
        Row::new([
            Cell::from(&way.way),
            calls(|calls| calls.alone),
            calls(|calls| calls.crowd),
            result(one.as_ref()),
            result(way.several_processes.as_ref()),
            result(way.restart.as_ref()),
            way.pause.as_ref().map_or(Cell::from("–"), pause),
            Cell::from(&way.choose_when),
        ])
    });
    Table::new(columns, rows)
}

/// What went wrong in a sale, the first of all problems first.
fn result(audit: Option<&Audit>) -> Cell {
    let Some(audit) = audit else { return Cell::from("–") };
    let problems = [
        ("oversold", audit.oversold),
        ("lost", audit.lost),
        ("undersold", audit.undersold),
        ("double-bought", audit.double_bought),
    ];
    let mut problems = problems.into_iter().filter(|(_, units)| *units > 0);
    let text = |(what, units)| format!("{what} {}", thousands(units));
    match problems.next() {
        None => Cell::from("holds").marked(Mark::Good),
        Some(first) => problems.fold(Cell::from(text(first)).marked(Mark::Bad), |cell, next| cell.with(text(next))),
    }
}

/// What others did during the pause, and what came of it.
fn pause(pause: &Pause) -> Cell {
    let result = result(Some(&pause.audit));
    match pause.meanwhile {
        0 => result.with("others wait"),
        _ => result.with("others continue"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_names_each_problem_of_a_sale() {
        let shown = |audit: Audit| {
            let table = Table::new([left("x", 16)], [Row::new([result(Some(&audit))])]);
            table.markdown().lines().nth(2).unwrap_or_default().to_owned()
        };
        assert_eq!(shown(Audit::default()), "| holds |");
        let audit = Audit { oversold: 50, lost: 1000, ..Audit::default() };
        assert_eq!(shown(audit), "| **oversold 50**: lost 1,000 |");
        assert_eq!(shown(Audit { undersold: 1, ..Audit::default() }), "| **undersold 1** |");
        assert_eq!(shown(Audit { double_bought: 2, ..Audit::default() }), "| **double-bought 2** |");
    }
}
